"""Random networks: the weights of any neuron, from the seed and its number alone."""

from typing import Any

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.kernels.cpu import normals
from fastntk.kernels.scratch import thread_slots

_GAUSSIAN = 2**32 - 1  # layer word of Gaussian weights of the output; 1 is that of signs


class Draws:
    """``w_r ~ N(0, kappa^2 I)`` and ``a_r ~ unif{-1, +1}`` of a seed, any neurons of any layer in any order.

    Every number is a function of the seed, the layer, the neuron and the column (Philox, a generator without state):
    the same on any thread or machine, at any width and depth, in any block.

    Parameters
    ----------
    seed : int
    kappa : float
        Scale of the weights.
    paired : bool
        Neurons 2j and 2j + 1 share their weights and have opposite signs.
    """

    def __init__(self, seed: int, kappa: float = 1.0, paired: bool = False) -> None:
        self.seed, self.kappa, self.paired = seed, kappa, paired
        self._keys = tuple(np.random.SeedSequence(seed).generate_state(2, np.uint32).astype(np.uint64))

    def weights(self, first: int, out: np.ndarray, layer: int = 1) -> None:
        """Write the weights of the neurons from ``first`` on to the rows of ``out``, float32 or float64."""
        normals.normals(*self.source(first, layer), out, *self.scratch(out.shape[1]))

    def source(self, first: int, layer: int) -> tuple[Any, ...]:
        """What a kernel draws the neurons of a layer from: the first arguments of `normals.normals`."""
        word = 0 if layer == 1 else layer
        return word, first, int(self.paired), *self._keys, self.kappa

    @staticmethod
    def scratch(columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Words and numbers of one neuron a thread."""
        counters = normals.LANES * -(-columns // normals.TILE)
        words = aligned_zeros((thread_slots(), normals.WORDS, counters), np.uint32)
        return words, aligned_zeros((thread_slots(), normals.VALUES, counters), np.float64)

    def gaussian(self, count: int, dtype: np.dtype) -> np.ndarray:
        """``a_r ~ N(0, 1)`` of the first ``count`` neurons, in place of signs."""
        row = np.empty((1, count), dtype)
        self.weights(0, row, _GAUSSIAN)
        return row[0]

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
