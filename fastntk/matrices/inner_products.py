"""Inner products of the samples, as a matrix or as the operand of a step."""

import numpy as np
import numpy.typing as npt

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import TILE, tiles_of
from fastntk.compilation.threads import kernel_threads
from fastntk.kernels.cpu.products import COLUMNS, products_of_float32
from fastntk.kernels.cpu.products import products as _products
from fastntk.kernels.scratch import block_pairs, thread_slots

_ROWS = 128  # of a block: a few dozen tasks at n = 1000


def products(X: np.ndarray) -> npt.NDArray[np.float64]:
    """``X X^T`` in float64, exactly symmetric."""
    K = np.empty((len(X), len(X)))
    _write(X, K, TILE, len(X))
    return K


def product_tiles(X: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """``X X^T``, computed in float64, as (tiles of 16 columns, padded rows, 16) of `dtype`, zeros on the padding."""
    tiles = tiles_of(len(X))
    K = aligned_zeros((tiles, TILE * tiles, TILE), dtype)
    _write(X, K, K[0].size, TILE)
    return K


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
