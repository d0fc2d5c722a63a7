"""Sums over the neurons for a block of a Gram matrix on a GPU, and for a diagonal: pieces of neurons pass by.

Counts of all pieces are added in int64, so they are exact however the neurons are cut; other sums are those of
`fastntk.kernels.cuda.gram_sums`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base.packing import byte_rows, padded_width
from fastntk.cuda.forward import Forward
from fastntk.cuda.rows import in_precision
from fastntk.device.arrays import empty, upload, zeros
from fastntk.kernels.cuda.activation import activation
from fastntk.kernels.cuda.conversion import zero
from fastntk.kernels.cuda.gram_sums import PART, add_sums, positive, weigh
from fastntk.kernels.cuda.losses import add_scaled
from fastntk.kernels.cuda.plans import Counting, Products
from fastntk.kernels.cuda.rows import row_lengths
from fastntk.kernels.cuda.views import columns
from fastntk.matrices.neurons import Neurons
from fastntk.matrices.passes import Terms

COUNTED_BYTES = 2**30  # of patterns as bytes: long pieces, because after each all counts are read and written
WEIGHT_BYTES = 2**27  # of the weights of a piece
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

    def add_patterns(self, left: Any, right: Any, first: int, start: int, count: int) -> None:
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

    def add_outputs(self, left: Any, right: Any) -> None:
        """Add the outputs of `PART` neurons."""
        self._products.nt(left, right, self._output_products)
        add_sums(self._output_products, self.second)


class _Side:
    """One set of samples: its pattern and its outputs on some neurons."""

    def __init__(self, X: Any, dtype: np.dtype, room: int, terms: Terms) -> None:
        self._n, self._X = len(X), in_precision(X, dtype)
        self._products = Products()
        if terms.first:
            self.bits = zeros((byte_rows(self._n), padded_width(room)), np.uint8)
        if terms.second:
            self.outputs = empty((self._n, PART), dtype)
        else:
            self._forward = Forward(self._n, room, dtype, outputs=False)
        self._terms = terms

    def read_signs(self, W: Any) -> None:
        """The pattern of the neurons W."""
        self._forward.masks(self._X, W, self.bits)

    def read_outputs(self, W: Any, first: int) -> None:
        """The outputs of at most `PART` neurons, and their pattern as that of the neurons from `first`."""
        self._products.nt(self._X, W, self.outputs)
        if self._terms.first:
            last = min(first + padded_width(len(W)), self.bits.shape[1])
            activation(self.outputs, self._n, len(W), columns(self.bits, first, last))
        positive(self.outputs, len(W))

    def forget(self) -> None:
        """Of neurons that are not read next, nothing stays."""
        if self._terms.first:
            zero(self.bits)


def piece_of(samples: int, m: int, columns: int = 1, itemsize: int = 1) -> int:
    """Neurons of a piece for so many samples, whose weights have so many columns."""
    fitting = min(COUNTED_BYTES // samples, WEIGHT_BYTES // (columns * itemsize))
    return min(max(fitting // _UNIT, 1) * _UNIT, padded_width(m))


def sum_over_neurons(neurons: Neurons, left: Any, right: Any, terms: Terms) -> Sums:
    """Sums for two sets of points, which are the same object if the block is symmetric."""
    sets = (left,) if right is left else (left, right)
    room = piece_of(sum(map(len, sets)), neurons.count, neurons.columns, neurons.dtype.itemsize)
    sums = Sums(len(left), None if right is left else len(right), terms, room, neurons.dtype)
    sides = [_Side(X, neurons.dtype, room, terms) for X in sets]
    first = 0
    for W in neurons.pieces(room):
        count = len(W)
        for side in sides:
            if count < room:
                side.forget()
            if not terms.second:
                side.read_signs(W)
        for k in range(0, count if terms.second else 0, PART):
            for side in sides:
                side.read_outputs(W[k : k + PART], k)
            sums.add_outputs(sides[0].outputs, sides[-1].outputs)
        if terms.first:
            sums.add_patterns(sides[0].bits, sides[-1].bits, 0, first, count)
        first += count
    return sums


def sum_over_masks(left: Any, right: Any, n: int, k: int, m: int, terms: Terms) -> Sums:
    """Sums for the first n and k samples of mask bytes, which are the same object if the block is symmetric."""
    room = piece_of(n + (0 if right is left else k), m)
    sums = Sums(n, None if right is left else k, terms, room)
    for first in range(0, m, room):
        sums.add_patterns(left, right, first, first, min(room, m - first))
    return sums


def diagonal_over_masks(bits: Any, n: int, m: int, terms: Terms) -> np.ndarray:
    """``sum_r a_r^2 M_ir`` for the first n samples, on the host; the squares are 1 where all are the same."""
    total, active = zeros(n, np.float64), empty((n, PART), np.float64)
    weights = _weights(terms)
    for first in range(0, m, PART):
        count = min(PART, m - first)
        weigh(bits, first, count, weights(first, count), active)
        _add_squares(active, total)
    return np.asarray(total.copy_to_host())


def diagonal_over_neurons(neurons: Neurons, X: Any, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """``sum_r a_r^2 M_ir`` and ``sum_r relu(w_r . x_i)^2`` on the host, in one pass."""
    n, dtype = len(X), neurons.dtype
    active, second = zeros(n, np.float64), zeros(n, np.float64)
    outputs = Terms(terms.first, True)  # whatever the terms: a pattern here comes with outputs
    side, weighed = _Side(X, dtype, PART, outputs), empty((n, PART), np.float64)
    weights = _weights(terms)
    first = 0
    for W in neurons.pieces(piece_of(n, neurons.count, neurons.columns, dtype.itemsize)):
        for k in range(0, len(W), PART):
            some = W[k : k + PART]
            side.read_outputs(some, 0)
            if terms.second:
                _add_squares(side.outputs, second)
            if terms.first:
                weigh(side.bits, 0, len(some), weights(first + k, len(some)), weighed)
                _add_squares(weighed, active)
        first += len(W)
    return active.copy_to_host(), second.copy_to_host()


def _weights(terms: Terms) -> Callable[[int, int], Any]:
    """What gives ``|a_r|``, or ones where all are the same, of at most `PART` neurons, on the GPU."""
    if terms.weights is None:
        ones = upload(np.ones(PART))
        return lambda first, count: ones[:count]
    weights = upload(terms.weights)
    return lambda first, count: weights[first : first + count]


def _add_squares(values: Any, total: Any) -> None:
    """total += squared lengths of the rows, in float64."""
    squares, lengths = empty(len(values), np.float64), empty(len(values), np.float64)
    row_lengths(values, squares, lengths)
    add_scaled(squares, 1.0, total)
