"""Inner products of the samples, as a matrix or as the operand of a step."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import TILE, tiles_of
from fastntk.compilation.threads import kernel_threads
from fastntk.kernels.cpu.products import COLUMNS, products_of_float32
from fastntk.kernels.cpu.products import products as _products
from fastntk.kernels.scratch import block_pairs, thread_slots

_ROWS = 128  # of a block: a few dozen tasks at n = 1000


_shared: ContextVar[tuple[list[np.ndarray], dict[tuple[int, str], np.ndarray]] | None] = ContextVar(
    "shared products", default=None
)


@contextlib.contextmanager
def products_of_one(X: np.ndarray) -> Iterator[None]:
    """Within, what is made here of this very array is made once: it must not change, and nobody writes to the rest."""
    token = _shared.set(([X], {}))
    try:
        yield
    finally:
        _shared.reset(token)


def rounded(X: np.ndarray, dtype: np.dtype) -> npt.NDArray[np.float64]:
    """The samples as a network of that precision sees them, in float64, not to be written to."""
    found = _once(X, f"rounded to {dtype}", lambda: np.ascontiguousarray(X, dtype).astype(np.float64))
    arrays = (_shared.get() or ([], {}))[0]
    if _among(arrays, X) and not _among(arrays, found):
        arrays.append(found)  # its products are shared, too
    return found


def _among(arrays: list[np.ndarray], X: np.ndarray) -> bool:
    return any(each is X for each in arrays)


def products(X: np.ndarray) -> npt.NDArray[np.float64]:
    """``X X^T`` in float64, exactly symmetric, not to be written to."""

    def make() -> np.ndarray:
        K = np.empty((len(X), len(X)))
        _write(X, K, TILE, len(X))
        return K

    return _once(X, "matrix", make)


def product_tiles(X: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """``X X^T``, computed in float64, as (tiles of 16 columns, padded rows, 16) of `dtype`, zeros on the padding."""

    def make() -> np.ndarray:
        tiles = tiles_of(len(X))
        K = aligned_zeros((tiles, TILE * tiles, TILE), dtype)
        _write(X, K, K[0].size, TILE)
        return K

    return _once(X, f"tiles {dtype}", make)


def _once(X: np.ndarray, layout: str, make: Callable[[], np.ndarray]) -> Any:
    arrays, found = _shared.get() or ([], {})
    if not _among(arrays, X):
        return make()
    key = id(X), layout
    if key not in found:
        found[key] = make()
    return found[key]


def products_bytes(n: int, d: int) -> int:
    """Scratch of both, beside the result."""
    rows = min(_ROWS, n)
    return thread_slots() * 16 * rows * (min(COLUMNS, d) + rows)


def _write(X: np.ndarray, K: np.ndarray, tile_stride: int, row_stride: int) -> None:
    rows, slots = np.ascontiguousarray(X), thread_slots()
    pairs, sums = block_pairs(-(-len(rows) // _ROWS)), np.empty((slots, 2, _ROWS * _ROWS))
    target = K.reshape(-1), tile_stride, row_stride
    with kernel_threads():
        if rows.dtype == np.float64:
            _products(rows, pairs, _ROWS, sums, *target)
        else:
            operands = np.empty((slots, 2, _ROWS * COLUMNS))
            products_of_float32(rows, pairs, _ROWS, operands, sums, *target)
