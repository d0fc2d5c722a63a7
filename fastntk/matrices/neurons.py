"""Where the neurons of a Gram matrix come from: an array, a file, or a random stream; read some at a time."""

import abc
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fastntk.base import checks
from fastntk.model.draws import Draws
from fastntk.model.streamed import StreamedNetwork

_HASHED_BYTES = 2**24  # of a file at a time


class Neurons(abc.ABC):
    """``count`` rows w_r of ``columns`` entries, float32 or float64."""

    count: int
    columns: int
    dtype: np.dtype

    @abc.abstractmethod
    def pieces(self, size: int) -> Iterator[np.ndarray]:
        """All rows in order, ``size`` at a time, C-contiguous, finite and of `dtype`."""

    @abc.abstractmethod
    def add_to(self, digest: "hashlib._Hash") -> None:
        """Add all that the rows depend on."""


class HeldNeurons(Neurons):
    """Rows of a checked array in memory."""

    def __init__(self, W: np.ndarray) -> None:
        (self.count, self.columns), self.dtype = W.shape, W.dtype
        self._W = W

    def pieces(self, size: int) -> Iterator[np.ndarray]:
        """Rows of the array itself."""
        for first in range(0, self.count, size):
            yield self._W[first : first + size]

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Add the array."""
        digest.update(self._W.data)


class MappedNeurons(Neurons):
    """Rows of a memory-mapped file that may be larger than memory: copied and checked piece by piece."""

    def __init__(self, W: np.memmap) -> None:
        if W.dtype.kind not in "biuf":
            raise TypeError(f"W must be real numbers, got dtype {W.dtype}")
        if W.ndim != 2:
            raise ValueError(f"W must have 2 dimension(s), got shape {W.shape}")
        if W.size == 0:
            raise ValueError(f"W must not be empty, got shape {W.shape}")
        (self.count, self.columns) = W.shape
        native = W.dtype.newbyteorder("=")
        self.dtype = native if native in (np.float32, np.float64) else np.dtype(np.float64)
        self._W = W

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the name of the file, which is mapped again where it is unpickled."""
        W, root = self._W, self._W
        while isinstance(root.base, np.memmap):
            root = root.base
        if W.filename is None or not W.flags.c_contiguous:
            return object.__reduce_ex__(self, 2)  # type: ignore[return-value]
        offset = int(root.offset) + W.ctypes.data - root.ctypes.data
        return _mapped, (os.path.abspath(W.filename), W.dtype, offset, W.shape)

    def pieces(self, size: int) -> Iterator[np.ndarray]:
        """Checked copies, read ahead."""
        return _ahead(self._checked(size))

    def _checked(self, size: int) -> Iterator[np.ndarray]:
        for first in range(0, self.count, size):
            rows = np.array(self._W[first : first + size], dtype=self.dtype, order="C", subok=False)
            finite = np.isfinite(rows)
            if not finite.all():
                row, column = (int(i) for i in np.argwhere(~finite)[0])
                raise ValueError(
                    f"W must be finite, got {rows[row, column]} at index ({first + row}, {column}): "
                    f"neuron {first + row}"
                )
            yield rows

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Read the whole file."""
        step = max(1, _HASHED_BYTES // max(1, self._W.itemsize * self.columns))
        digest.update(self._W.dtype.str.encode())
        for first in range(0, self.count, step):
            digest.update(np.ascontiguousarray(self._W[first : first + step]).data)


def _mapped(path: str, dtype: np.dtype, offset: int, shape: tuple[int, ...]) -> MappedNeurons:
    return MappedNeurons(np.memmap(path, dtype, "r", offset, shape))


class DrawnNeurons(Neurons):
    """The float32 weights of ``TwoLayerReLU.init(columns, count, seed)``, drawn when they are needed and forgotten."""

    dtype = np.dtype(np.float32)

    def __init__(self, columns: int, count: int, seed: int) -> None:
        self.columns = columns
        self.count = checks.integer(count, "width", 1)
        self._seed = checks.integer(seed, "seed", 0)

    def pieces(self, size: int) -> Iterator[np.ndarray]:
        """Rows in new arrays."""
        draws = Draws(self._seed)
        for first in range(0, self.count, size):
            rows = np.empty((min(size, self.count - first), self.columns), self.dtype)
            draws.weights(first, rows)
            yield rows

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Add the seed, the size and the name of the generator."""
        digest.update(repr(("philox", self.columns, self.count, self._seed)).encode())


class StreamedNeurons(Neurons):
    """The weights of a network that makes them when they are asked for."""

    def __init__(self, net: StreamedNetwork) -> None:
        self.count, self.columns, self.dtype = net.width, net.d, net.a.dtype
        self._net = net

    def pieces(self, size: int) -> Iterator[np.ndarray]:
        """Rows in new arrays."""
        for first in range(0, self.count, size):
            yield self._net.weights(first, min(first + size, self.count))

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Make all weights."""
        for rows in self.pieces(max(1, _HASHED_BYTES // (self.dtype.itemsize * self.columns))):
            digest.update(np.ascontiguousarray(rows).data)


def drawing_bytes(size: int, d: int, m: int) -> int:
    """Memory of m neurons that are drawn ``size`` at a time: some in use while the next are drawn."""
    return DrawnNeurons.dtype.itemsize * min(2 * size, m) * d


def _ahead(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same pieces, each produced on another thread while the one before it is used."""
    with ThreadPoolExecutor(1, "fastntk-neurons") as reader:
        pending = reader.submit(next, pieces, None)
        while (piece := pending.result()) is not None:
            pending = reader.submit(next, pieces, None)
            yield piece
