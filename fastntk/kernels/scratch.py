"""Padded and tiled copies of matrices, and the scratch space of the kernels (one slice a thread)."""

import functools

import numba
import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import TILE, byte_rows, padded_width, tiles_of
from fastntk.base.processor import first_level_cache
from fastntk.kernels.cpu.coactivation import SUPER
from fastntk.kernels.cpu.masked_sums import NARROW_ROWS, NEURON_BLOCK, WIDE_ROWS
from fastntk.kernels.cpu.sample_words import sample_words

_LINE = 64  # bytes of a row of tables
_WIDE_CACHE = 48 * 2**10  # holds the WIDE tables beside the sums that stream past


def thread_slots() -> int:
    """Slices of scratch that cover every thread id a parallel kernel can see."""
    return int(numba.config.NUMBA_NUM_THREADS)


def shared_rows(X: np.ndarray, dtype: np.dtype) -> bool:
    """Whether kernels take X as it is: whole tiles of rows in their precision."""
    return X.dtype == dtype and len(X) % TILE == 0 and X.flags.c_contiguous


def padded_rows(X: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """X with zero rows up to a whole number of tiles; X itself if it has that already, so not to be written to."""
    if shared_rows(X, dtype):
        return X
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


def _sum_rows(m: int, itemsize: int) -> int:
    """Neurons that share a set of tables."""
    most = NEURON_BLOCK * 4 // itemsize
    return _equal_parts(m, -(-m // most), 64)


@functools.cache
def table_rows() -> int:
    """Rows of the tables of `masked_sums` that fit the first-level cache; the NARROW ones where no size is known."""
    return WIDE_ROWS if (first_level_cache() or 0) >= _WIDE_CACHE else NARROW_ROWS


def table_scratch(m: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Tables and sums of `masked_sums`."""
    itemsize = np.dtype(dtype).itemsize
    tables = aligned_zeros((thread_slots(), table_rows(), _LINE // itemsize), dtype)
    sums = aligned_zeros((thread_slots(), _sum_rows(m, itemsize), TILE), dtype)
    return tables, sums


def word_scratch(n: int, m: int) -> np.ndarray:
    """A pattern as words over samples, to be filled by `words_of` or `sample_words`."""
    return aligned_zeros((word_rows(n), padded_width(m)), np.uint64)


def word_rows(n: int) -> int:
    """Rows of words that hold n samples."""
    return -(-byte_rows(n) // 8)


def words_of(bits: np.ndarray, words: np.ndarray | None = None) -> np.ndarray:
    """Words over samples from mask bytes."""
    if words is None:
        words = aligned_zeros((-(-len(bits) // 8), bits.shape[1]), np.uint64)
    sample_words(bits, words)
    return words


def table_bytes(n: int, m: int, itemsize: int) -> int:
    """Memory of `table_scratch` and of `word_scratch`."""
    scratch = thread_slots() * (table_rows() * _LINE + _sum_rows(m, itemsize) * TILE * itemsize)
    return scratch + 8 * word_rows(n) * padded_width(m)


def sum_blocks(m: int, itemsize: int) -> int:
    """Number of blocks of neurons that share a set of tables each."""
    return -(-m // _sum_rows(m, itemsize))


@functools.lru_cache(maxsize=4)  # the same in every step of a run
def block_pairs(blocks: int) -> np.ndarray:
    """Pairs of blocks, row >= column (the last block, which may be part empty, is a row), by super-blocks."""
    rows, columns = np.tril_indices(blocks)
    order = np.lexsort((columns, rows, columns // SUPER, rows // SUPER))
    return np.stack((rows[order], columns[order]), axis=1)
