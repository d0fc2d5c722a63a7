"""Masked sums of arrays in host memory: words over samples, scratch and the kernel."""

import numpy as np

from fastntk.base.packing import SAMPLES_PER_BYTE
from fastntk.kernels.cpu.masked_sums import masked_sums
from fastntk.kernels.scratch import padded_vector, table_scratch, words_of


def scaled_sums(bits: np.ndarray, V: np.ndarray, e: np.ndarray, scale: np.ndarray, out: np.ndarray) -> bool:
    """``out[r] = scale[r] sum_i M[i, r] e[i] V[i]``, V in column tiles; whether all of it is finite.

    Examples
    --------
    >>> from fastntk.base.packing import PackedMasks
    >>> from fastntk.kernels.scratch import column_tiles
    >>> masks, V = PackedMasks.from_dense(np.array([[True], [True]])), np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> out = np.empty((1, 2))
    >>> scaled_sums(masks.bits, column_tiles(V, V.dtype), np.ones(2), np.array([10.0]), out), out
    (True, array([[40., 60.]]))
    """
    tables, sums = table_scratch(len(out), out.dtype)
    finite = np.empty((len(V), -(-len(out) // sums.shape[1])), out.dtype)
    padded = padded_vector(e, SAMPLES_PER_BYTE * len(bits), out.dtype)
    masked_sums(words_of(bits), V, padded, scale, tables, sums, out, finite)
    return bool(np.isfinite(finite).all())
