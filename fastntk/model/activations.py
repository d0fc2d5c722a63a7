"""The forward product of fixed samples with neurons that come some at a time: signs, and positive parts if wanted."""

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import NEURONS_PER_WORD, TILE, byte_rows, tiles_of
from fastntk.kernels.cpu.activation import activation
from fastntk.kernels.cpu.gram_sums import ROWS
from fastntk.kernels.scratch import padded_rows, thread_slots

_BLOCK_BYTES = 2**23  # a block of pre-activations stays in the last-level cache
_BLOCKS = 4  # at least, for the threads


def block_rows(n: int, m: int, dtype: np.dtype, most: int = 2048) -> int:
    """Neurons of one BLAS product: a power of two that follows from the whole width and never from the pieces.

    The same product then gives the same sign wherever the neurons come from.
    """
    fitting = min(most, m // _BLOCKS, _BLOCK_BYTES // (TILE * tiles_of(n) * dtype.itemsize))
    return max(NEURONS_PER_WORD, 1 << max(fitting, 1).bit_length() - 1)


class Activations:
    """Scratch for ``n`` samples and a network of ``m`` neurons; ``room`` neurons have their positive parts kept.

    Attributes
    ----------
    positive : ndarray, shape (ceil(n / 160), room, 160)
        ``relu(w_r . x_i)`` of the neurons of the last call, zero beyond the samples.
    """

    def __init__(self, X: np.ndarray, m: int, rows: int, dtype: np.dtype, room: int = 0) -> None:
        n = len(X)
        slots = thread_slots()
        self._n, self._X = n, padded_rows(X, dtype)
        self._Z = aligned_zeros((slots, min(rows, m), len(self._X)), dtype)
        self._octets = aligned_zeros((slots, byte_rows(n), NEURONS_PER_WORD), np.uint8)
        self.positive = aligned_zeros((-(-n // ROWS) if room else 0, room, ROWS), dtype)

    def __call__(self, W: np.ndarray, first: int, bits: np.ndarray) -> None:
        """Write the signs of the neurons ``W`` to the columns of the mask bytes that start at ``first``."""
        activation(W, self._X, self._n, first, bits, self._Z, self._octets, self.positive)
