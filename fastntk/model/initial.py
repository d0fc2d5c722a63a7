"""The weights a layer started from: held, or drawn again from the seed, which takes no memory."""

import abc
from collections.abc import Iterator

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.kernels.cpu import distances
from fastntk.kernels.scratch import thread_slots
from fastntk.model.draws import Draws

_BLOCK_BYTES = 2**23  # of the rows of one block


class InitialLayer(abc.ABC):
    """``W(0)`` of one layer, (m, d), a block of rows at a time."""

    @abc.abstractmethod
    def rows(self, first: int, last: int) -> np.ndarray:
        """The rows from ``first`` to before ``last``."""

    @abc.abstractmethod
    def distances(self, W: np.ndarray) -> np.ndarray:
        """``|w_r - w_r(0)|_2`` of all rows, (m,) float64."""

    def changes(self, W: np.ndarray) -> Iterator[np.ndarray]:
        """``W - W(0)`` in blocks of rows."""
        count = max(1, _BLOCK_BYTES // W[:1].nbytes)
        for first in range(0, len(W), count):
            last = min(first + count, len(W))
            yield W[first:last] - self.rows(first, last)


class HeldLayer(InitialLayer):
    """Weights that somebody keeps."""

    def __init__(self, W: np.ndarray) -> None:
        self._W = W

    def rows(self, first: int, last: int) -> np.ndarray:
        """A view of them."""
        return self._W[first:last]

    def distances(self, W: np.ndarray) -> np.ndarray:
        """One pass over both."""
        squares = np.empty(len(W))
        distances.from_held(W, self._W, squares)
        return np.sqrt(squares)


class DrawnLayer(InitialLayer):
    """Weights of a layer that follow from the seed."""

    def __init__(self, draws: Draws, layer: int, columns: int, dtype: np.dtype) -> None:
        self._draws, self._layer, self._columns, self._dtype = draws, layer, columns, dtype

    def rows(self, first: int, last: int) -> np.ndarray:
        """Drawn anew."""
        out = np.empty((last - first, self._columns), self._dtype)
        self._draws.weights(first, out, self._layer)
        return out

    def distances(self, W: np.ndarray) -> np.ndarray:
        """One pass over W, and a draw of every entry."""
        squares = np.empty(len(W))
        row = aligned_zeros((thread_slots(), self._columns), self._dtype)
        source, scratch = self._draws.source(0, self._layer), self._draws.scratch(self._columns)
        distances.from_drawn(*source, W, row, *scratch, squares)
        return np.sqrt(squares)
