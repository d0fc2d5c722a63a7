"""Sums over the neurons for a Gram matrix on a GPU: pieces of neurons pass by.

Counts of all pieces are added in int64, so they are exact however the neurons are cut; other sums are those of
`fastntk.kernels.cuda.gram_sums`.
"""

import numpy as np
import numpy.typing as npt

from fastntk.base.packing import byte_rows, padded_width
from fastntk.cuda.copies import in_precision
from fastntk.cuda.forward import GpuForward
from fastntk.device.arrays import empty, upload, zeros
from fastntk.device.dispatch import DeviceArray, DevicePattern
from fastntk.kernels.cuda.activation import activation
from fastntk.kernels.cuda.conversion import zero
from fastntk.kernels.cuda.gram_sums import PART, add_sums, positive, weigh
from fastntk.kernels.cuda.plans import Counting, Products
from fastntk.kernels.cuda.views import columns
from fastntk.matrices.passes import Terms

COUNTED_BYTES = 2**30  # of patterns as bytes: long pieces, because after each all counts are read and written
_UNIT = 1024  # neurons; a multiple of what `gram_sums` sums in working precision


class Sums:
    """Sums over neurons for pairs of n samples with themselves, or with k others; what is not wanted is None.

    Attributes
    ----------
    first : device array of int64 or float64, shape (n, k)
        Common activations, or those weighted by ``a_r^2``.
    second : device array of float64, shape (n, k)
        Products of outputs.
    """

    def __init__(
        self, n: int, k: int | None, terms: Terms, room: int, dtype: npt.DTypeLike = "float64"
    ) -> None:
        shape = n, n if k is None else k
        self._weighted = terms.first and terms.weights is not None
        self.first = zeros(shape, np.int64 if terms.counts else np.float64) if terms.first else None
        self.second = zeros(shape, np.float64) if terms.second else None
        self._products = Products()
        if terms.second:
            self._output_products = empty(shape, dtype)
        if terms.counts:
            self._counting = Counting(n, room, k=k)
        if terms.first and terms.weights is not None:
            self._weights = upload(terms.weights)
            self._part = empty(shape, np.float64)
            self._active = [empty((rows, PART), np.float64) for rows in shape[: 1 if k is None else 2]]

    @staticmethod
    def bytes_needed(n: int, k: int | None, terms: Terms, room: int, itemsize: int) -> int:
        """Device memory of the sums and of what is added to them."""
        entries, samples = n * (n if k is None else k), n + (k or 0)
        needed = 8 * entries * (terms.first + terms.second)
        if terms.counts:
            needed += Counting.bytes_needed(n, room, k=k)
        elif terms.first:
            needed += 8 * (entries + samples * PART)
        return needed + terms.second * entries * itemsize

    def add_patterns(self, left: DeviceArray, right: DeviceArray, first: int, start: int, count: int) -> None:
        """Add `count` neurons from `first` of the mask bytes, which are the neurons from `start` of the network."""
        if self._weighted:
            for k in range(0, count, PART):
                some = min(PART, count - k)
                weights = self._weights[start + k : start + k + some]
                for bits, active in zip((left, right), self._active, strict=False):
                    weigh(bits, first + k, some, weights, active)
                self._products.nt(self._active[0], self._active[-1], self._part)
                add_sums(self._part, self.first)
        else:
            words = left.view(np.uint32)
            others = None if right is left else right.view(np.uint32)
            self._counting.counts(words, self.first, others, first, add=True)

    def add_outputs(self, left: DeviceArray, right: DeviceArray) -> None:
        """Add the outputs of `PART` neurons."""
        self._products.nt(left, right, self._output_products)
        add_sums(self._output_products, self.second)


class _GpuSide:
    """One set of samples: its pattern and its outputs on some neurons."""

    def __init__(self, X: DeviceArray, dtype: np.dtype, room: int, terms: Terms) -> None:
        self._n, self._X = len(X), in_precision(X, dtype)
        self._products = Products()
        if terms.first:
            self.bits = zeros((byte_rows(self._n), padded_width(room)), np.uint8)
        if terms.second:
            self.outputs = empty((self._n, PART), dtype)
        else:
            self._forward = GpuForward(self._n, room, dtype, outputs=False)
        self._terms = terms

    def read_signs(self, W: DeviceArray) -> None:
        """The pattern of the neurons W."""
        self._forward.masks(self._X, W, self.bits)

    def read_outputs(self, W: DeviceArray, first: int) -> None:
        """The outputs of at most `PART` neurons, and their pattern as that of the neurons from `first`."""
        self._products.nt(self._X, W, self.outputs)
        if self._terms.first:
            last = min(first + padded_width(len(W)), self.bits.shape[1])
            activation(self.outputs, self._n, len(W), columns(self.bits, first, last))
        positive(self.outputs, len(W))

    def forget(self) -> None:
        """Clear what was read of neurons before."""
        if self._terms.first:
            zero(self.bits)


def piece_of(samples: int, m: int) -> int:
    """Neurons of a piece for so many samples."""
    return min(max(COUNTED_BYTES // (samples * _UNIT), 1) * _UNIT, padded_width(m))


def sum_over_neurons(W: DeviceArray, left: DeviceArray, right: DeviceArray, terms: Terms) -> Sums:
    """Sums for two sets of points, which are the same object if the matrix is symmetric."""
    sets = (left,) if right is left else (left, right)
    room = piece_of(sum(map(len, sets)), len(W))
    sums = Sums(len(left), None if right is left else len(right), terms, room, W.dtype)
    sides = [_GpuSide(X, W.dtype, room, terms) for X in sets]
    for first in range(0, len(W), room):
        piece = W[first : first + room]
        count = len(piece)
        for side in sides:
            if count < room:
                side.forget()
            if not terms.second:
                side.read_signs(piece)
        for k in range(0, count if terms.second else 0, PART):
            for side in sides:
                side.read_outputs(piece[k : k + PART], k)
            sums.add_outputs(sides[0].outputs, sides[-1].outputs)
        if terms.first:
            sums.add_patterns(sides[0].bits, sides[-1].bits, 0, first, count)
    return sums


def sum_over_masks(left: DevicePattern, right: DevicePattern, terms: Terms) -> Sums:
    """Sums for two patterns, which are the same object if the matrix is symmetric."""
    (n, m), k = left.shape, None if right is left else right.shape[0]
    room = piece_of(n + (k or 0), m)
    sums = Sums(n, k, terms, room)
    for first in range(0, m, room):
        sums.add_patterns(left.bits, right.bits, first, first, min(room, m - first))
    return sums
