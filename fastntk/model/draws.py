"""Random networks: the weights of any neuron, from the seed and its number alone."""

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.kernels.cpu import normals
from fastntk.kernels.scratch import thread_slots


class Draws:
    """``w_r ~ N(0, kappa^2 I)`` and ``a_r ~ unif{-1, +1}`` of a seed, any neurons in any order.

    Every number is a function of the seed, the neuron and the column (Philox, a generator without state): the same
    on any thread or machine, at any width, in any block.

    Parameters
    ----------
    seed : int
    kappa : float
        Scale of the first layer.
    paired : bool
        Neurons 2j and 2j + 1 share their weights and have opposite signs.
    """

    def __init__(self, seed: int, kappa: float = 1.0, paired: bool = False) -> None:
        self.seed, self.kappa, self.paired = seed, kappa, paired
        self._keys = tuple(np.random.SeedSequence(seed).generate_state(2, np.uint32).astype(np.uint64))

    def weights(self, first: int, out: np.ndarray) -> None:
        """Write the weights of the neurons from ``first`` on to the rows of ``out``, float32 or float64."""
        counters = normals.LANES * -(-out.shape[1] // normals.TILE)
        words = aligned_zeros((thread_slots(), normals.WORDS, counters), np.uint32)
        values = aligned_zeros((thread_slots(), normals.VALUES, counters), np.float64)
        normals.normals(first, int(self.paired), *self._keys, self.kappa, out, words, values)

    def signs(self, first: int, count: int, dtype: np.dtype) -> np.ndarray:
        """``a_r`` of ``count`` neurons from ``first`` on."""
        pairing = int(self.paired)
        before, last = first >> pairing, (first + count - 1) >> pairing
        negative = np.empty(last - before + 1, np.bool_)
        words = aligned_zeros((thread_slots(), normals.WORDS, normals.SIGNS), np.uint32)
        normals.signs(before, *self._keys, negative, words)
        neurons = np.arange(first, first + count)
        flipped = negative[(neurons >> pairing) - before] ^ ((neurons & pairing) == 1)
        return np.where(flipped, dtype.type(-1), dtype.type(1))
