"""Padded and tiled copies of matrices, and the scratch space of the kernels (one slice a thread)."""

import functools

import numba
import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import TILE, byte_rows, tiles_of
from fastntk.kernels.cpu.coactivation import SUPER
from fastntk.kernels.cpu.masked_sums import NEURON_BLOCK, TABLE_ROWS, TABLES

_FORWARD_BYTES = 2**23  # a block of pre-activations stays in the last-level cache
_FORWARD_ROWS = (64, 512)  # fewer rows cost BLAS up to a third of its speed
_FORWARD_BLOCKS = 8  # the number of blocks is a multiple, for the threads


def thread_slots() -> int:
    """Slices of scratch that cover every thread id a parallel kernel can see."""
    return int(numba.config.NUMBA_NUM_THREADS)


def padded_rows(X: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """X with zero rows up to a whole number of tiles."""
    n, d = X.shape
    padded = aligned_zeros((TILE * tiles_of(n), d), dtype)
    padded[:n] = X
    return padded


def padded_vector(values: np.ndarray, size: int, dtype: np.dtype) -> np.ndarray:
    """The values followed by zeros up to ``size``."""
    padded = aligned_zeros(size, dtype)
    padded[: values.size] = values
    return padded


def column_tiles(V: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """V (n, p) as (tiles of 16 columns, padded rows, 16), zeros on the padding."""
    n, p = V.shape
    tiles = aligned_zeros((tiles_of(p), TILE * tiles_of(n), TILE), dtype)
    for tile in range(tiles.shape[0]):
        columns = V[:, TILE * tile : TILE * (tile + 1)]
        tiles[tile, :n, : columns.shape[1]] = columns
    return tiles


def _equal_parts(total: int, parts: int, multiple: int) -> int:
    """Size of ``parts`` equal parts of ``total``, rounded up to a multiple: threads get equal work."""
    return -(-total // (parts * multiple)) * multiple


def table_scratch(m: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Tables and sums of `masked_sums`."""
    tables = aligned_zeros((thread_slots(), TABLES * TABLE_ROWS, TILE), dtype)
    most = NEURON_BLOCK * 4 // np.dtype(dtype).itemsize
    block = _equal_parts(m, -(-m // most), 64)
    sums = aligned_zeros((thread_slots(), block, TILE), dtype)
    return tables, sums


class ForwardScratch:
    """Scratch of the forward kernels for ``n`` samples and ``m`` neurons of ``dtype``."""

    def __init__(self, n: int, m: int, dtype: np.dtype) -> None:
        tiles = tiles_of(n)
        columns = TILE * tiles
        least, most = _FORWARD_ROWS
        fitting = min(max(_FORWARD_BYTES // (columns * np.dtype(dtype).itemsize), least), most)
        blocks = _FORWARD_BLOCKS * -(-m // (_FORWARD_BLOCKS * fitting))
        self.rows = max(least, _equal_parts(m, blocks, 2))  # pairs that cancel stay in one block
        slots = thread_slots()
        self.Z = aligned_zeros((slots, self.rows, columns), dtype)
        self.octets = aligned_zeros((slots, byte_rows(n), 64), np.uint8)
        self.shares = aligned_zeros((slots, columns), dtype)
        self.u_shares = aligned_zeros((-(-m // self.rows), columns), np.float64)

    def outputs(self, n: int, m: int) -> np.ndarray:
        """``u / sqrt(m)`` from the shares, added in neuron order."""
        return self.u_shares.sum(axis=0)[:n] / np.sqrt(m)


@functools.lru_cache(maxsize=4)  # the same in every step of a run
def block_pairs(blocks: int) -> np.ndarray:
    """Pairs of blocks, row >= column (the last block, which may be part empty, is a row), by super-blocks."""
    rows, columns = np.tril_indices(blocks)
    order = np.lexsort((columns, rows, columns // SUPER, rows // SUPER))
    return np.stack((rows[order], columns[order]), axis=1)
