"""Where the neurons of a Gram matrix on a GPU come from: an array there, or a stream of the host's, piece by piece."""

import hashlib
from collections.abc import Iterator
from typing import Any

from fastntk.device.arrays import empty
from fastntk.matrices.neurons import Neurons

_HASHED = 2**24  # bytes at a time


class HeldThere(Neurons):
    """Rows of a checked array on the GPU."""

    def __init__(self, W: Any) -> None:
        (self.count, self.columns), self.dtype = W.shape, W.dtype
        self._W = W

    def pieces(self, size: int) -> Iterator[Any]:
        """Views."""
        for first in range(0, self.count, size):
            yield self._W[first : first + size]

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Add the array, by copies on the host."""
        add_rows(self._W, digest)


class Uploaded(Neurons):
    """Neurons of the host: a piece is copied to the GPU, over the one before it, while the host makes the next."""

    def __init__(self, neurons: Neurons) -> None:
        self.count, self.columns, self.dtype = neurons.count, neurons.columns, neurons.dtype
        self._neurons = neurons

    def pieces(self, size: int) -> Iterator[Any]:
        """Views of one array, which the next piece overwrites."""
        there = empty((min(size, self.count), self.columns), self.dtype)
        for W in self._neurons.pieces(size):
            part = there[: len(W)]
            part.copy_to_device(W)
            yield part

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Add what the host's neurons depend on."""
        self._neurons.add_to(digest)


def add_rows(matrix: Any, digest: "hashlib._Hash") -> None:
    """Add a matrix on the GPU, of contiguous rows."""
    step = max(1, _HASHED // (matrix.shape[1] * matrix.dtype.itemsize))
    for first in range(0, len(matrix), step):
        digest.update(matrix[first : first + step].copy_to_host().data)
