"""One pass over the neurons: common activations and products of outputs, summed for chosen tiles of a Gram matrix."""

from dataclasses import dataclass

import numpy as np

from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.base.packing import NEURONS_PER_WORD, SAMPLES_PER_BYTE, PackedMasks, byte_rows, padded_width
from fastntk.kernels.cpu.coactivation import BLOCK, to_panels
from fastntk.kernels.cpu.gram_sums import PART, ROWS, add_sums, expand
from fastntk.kernels.cpu.gram_tiles import SIDE, add_counts
from fastntk.kernels.scratch import thread_slots
from fastntk.matrices.neurons import Neurons
from fastntk.model.forward import Forward, block_rows

LAYERS = {"first": (True, False), "second": (False, True), "both": (True, True)}
"""Whether the terms of the first and of the second layer are summed."""

_PIECE_BYTES = 2**26  # of what is held of the neurons that are being summed over


@dataclass(frozen=True)
class Terms:
    """What is summed over the neurons: common activations, weighted by ``a_r^2``, and products of outputs."""

    first: bool
    second: bool
    scale: float = 1.0  # the square, if all are the same
    weights: np.ndarray | None = None  # |a_r|, if the squares differ

    @property
    def counts(self) -> bool:
        """Whether common activations are counted."""
        return self.first and self.weights is None

    @property
    def largest(self) -> float:
        """The largest ``a_r^2``."""
        if self.weights is None:
            return self.scale
        weight = float(self.weights.max())
        return weight * weight  # inf where a power would raise

    @property
    def dense_bytes(self) -> int:
        """Bytes per sample and neuron of the operands of `add_sums`, at most."""
        return 8 * (self.second + (self.first and not self.counts))


def terms_of(layers: str, a: np.ndarray) -> Terms:
    """What is summed for these layers with the weights of the second one, which are one number if all are alike."""
    first, second = LAYERS[layers]
    with np.errstate(over="ignore"):
        squares = np.square(a, dtype=np.float64)
    if (squares == squares[0]).all():
        return Terms(first, second, scale=float(squares[0]))
    return Terms(first, second, weights=np.abs(a, dtype=np.float64))


@dataclass(frozen=True)
class TileSums:
    """Sums over the neurons, a slice for each tile; what is not wanted has no elements."""

    counts: np.ndarray  # (tiles, 25, 32, 32) uint64
    weighted: np.ndarray  # (tiles, 160, 160) float64
    second: np.ndarray  # (tiles, 160, 160) float64

    @staticmethod
    def bytes_needed(tiles: int, terms: Terms) -> int:
        """Memory of the sums of so many tiles."""
        return 8 * ROWS * ROWS * tiles * (terms.first + terms.second)

    @classmethod
    def zeros(cls, tiles: int, terms: Terms) -> "TileSums":
        """Zeros for the terms, once they are known to fit in memory."""
        counted, dense = tiles * terms.counts, tiles * terms.second
        weighted = tiles * (terms.first and not terms.counts)
        require_memory(cls.bytes_needed(tiles, terms), f"the sums of {tiles} tiles")
        return cls(
            aligned_zeros((counted, SIDE * SIDE, BLOCK, BLOCK), np.uint64),
            aligned_zeros((weighted, ROWS, ROWS), np.float64),
            aligned_zeros((dense, ROWS, ROWS), np.float64),
        )

    def add(
        self, left: "_Side", right: "_Side", tiles: np.ndarray, symmetric: bool, terms: Terms, first: int
    ) -> None:
        """Add what the two sides hold: the neurons from ``first``."""
        if self.counts.size:
            P = left.panels()
            Q = P if right is left else right.panels()
            add_counts(P, Q, left.n, right.n, symmetric, tiles, self.counts)
        if self.weighted.size and terms.weights is not None:
            A = left.scaled(terms.weights, first)
            B = A if right is left else right.scaled(terms.weights, first)
            self._add_sums(A, B, left.count, tiles, self.weighted)
        if self.second.size:
            self._add_sums(left.positive, right.positive, left.count, tiles, self.second)

    @staticmethod
    def _add_sums(A: np.ndarray, B: np.ndarray, count: int, tiles: np.ndarray, sums: np.ndarray) -> None:
        add_sums(A, B, count, tiles, aligned_zeros((thread_slots(), ROWS, ROWS), A.dtype), sums)


class _Side:
    """The patterns of one set of points on some neurons."""

    def __init__(self, n: int, room: int, start: int, weighted: bool) -> None:
        self.n, self.count = n, 0
        self.bits = np.empty((0, 0), np.uint8)
        self.positive = np.empty((0, 0, 0))
        self._start = start  # sample of the bits that is the first one of this side
        self._offset = 0  # column of the bits that is the first neuron
        self._scaled = aligned_zeros((-(-n // ROWS) if weighted else 0, room, ROWS), np.float64)
        blocks = 0 if weighted else -(-n // BLOCK)
        self._words = aligned_zeros(blocks * BLOCK * padded_width(room) // NEURONS_PER_WORD, np.uint64)
        self._panels = blocks * BLOCK // SAMPLES_PER_BYTE

    def panels(self) -> np.ndarray:
        """Words over neurons in panels of eight samples."""
        words = self.bits.shape[1] // NEURONS_PER_WORD
        P = self._words[: self._panels * words * SAMPLES_PER_BYTE]
        P = P.reshape(self._panels, words, SAMPLES_PER_BYTE)
        to_panels(self.bits, P)
        return P

    def scaled(self, weights: np.ndarray, first: int) -> np.ndarray:
        """The pattern times the weights of the neurons, dense."""
        some = weights[first : first + self.count]
        expand(self.bits, self._start, self.n, some, self._offset, self.count, self._scaled)
        return self._scaled


class _ForwardSide(_Side):
    """Patterns computed from neurons that are passed in."""

    def __init__(self, points: np.ndarray, m: int, dtype: np.dtype, room: int, terms: Terms) -> None:
        super().__init__(len(points), room, 0, terms.first and not terms.counts)
        self._forward = Forward(points, m, dtype, room if terms.second else 0)
        self.positive = self._forward.positive
        self._bytes = aligned_zeros(byte_rows(self.n) * padded_width(room), np.uint8)

    def read(self, W: np.ndarray) -> None:
        """The pattern of the neurons W."""
        self.count = len(W)
        rows, width = byte_rows(self.n), padded_width(self.count)
        self.bits = self._bytes[: rows * width].reshape(rows, width)
        self.bits[:, self.count :] = 0
        self._forward.signs(W, 0, self.bits)


class _KnownSide(_Side):
    """A part of a known pattern."""

    def __init__(self, masks: PackedMasks, samples: slice, room: int) -> None:
        super().__init__(samples.stop - samples.start, room, samples.start, True)
        self.bits = masks.bits

    def move(self, first: int, count: int) -> None:
        """Take the neurons from ``first``."""
        self._offset, self.count = first, count


def sum_over_neurons(
    neurons: Neurons, left: np.ndarray, right: np.ndarray, terms: Terms, tiles: np.ndarray
) -> TileSums:
    """Sums for tiles of the Gram matrix of two sets of points, which are the same array if it is symmetric."""
    symmetric, m = right is left, neurons.count
    sums = TileSums.zeros(len(tiles), terms)
    samples = (len(left),) if symmetric else (len(left), len(right))
    size = piece_size(samples, neurons.columns, m, neurons.dtype, terms)
    sides = [_ForwardSide(left, m, neurons.dtype, size, terms)]
    if not symmetric:
        sides.append(_ForwardSide(right, m, neurons.dtype, size, terms))
    first = 0
    for W in neurons.pieces(size):
        for side in sides:
            side.read(W)
        sums.add(sides[0], sides[-1], tiles, symmetric, terms, first)
        first += len(W)
    return sums


def sum_over_masks(
    masks: tuple[PackedMasks, PackedMasks],
    rows: slice,
    columns: slice,
    symmetric: bool,
    terms: Terms,
    tiles: np.ndarray,
) -> TileSums:
    """Weighted sums over the neurons of known patterns."""
    m = masks[0].shape[1]
    sums = TileSums.zeros(len(tiles), terms)
    samples = rows.stop - rows.start + columns.stop - columns.start
    size = _whole_parts(_PIECE_BYTES // (8 * samples), PART, m)
    sides = [_KnownSide(masks[0], rows, size)]
    if not symmetric:
        sides.append(_KnownSide(masks[1], columns, size))
    for first in range(0, m, size):
        for side in sides:
            side.move(first, min(size, m - first))
        sums.add(sides[0], sides[-1], tiles, symmetric, terms, first)
    return sums


def piece_size(sides: tuple[int, ...], d: int, m: int, dtype: np.dtype, terms: Terms) -> int:
    """Neurons read at a time: whole blocks of the forward product and whole parts of the sums."""
    padded = sum(-(-n // ROWS) * ROWS for n in sides)  # as dense operands are
    per_neuron = sum(sides) // 4 + padded * terms.dense_bytes + 16 * d + 1
    rows = (block_rows(n, m, dtype) for n in sides)
    unit = max(PART if terms.dense_bytes else 1, *rows)
    return _whole_parts(_PIECE_BYTES // per_neuron, unit, m)


def pass_bytes(sides: tuple[int, ...], d: int, m: int, dtype: np.dtype, terms: Terms) -> int:
    """What `sum_over_neurons` takes for sides of so many samples, beside the sums and the neurons."""
    some, needed = min(piece_size(sides, d, m, dtype, terms), m), 0
    for n in sides:
        needed += Forward.bytes_needed(n, d, m, dtype, room=some if terms.second else 0)
        needed += byte_rows(n) * padded_width(some)
        if terms.counts:
            needed += -(-n // BLOCK) * BLOCK * padded_width(some) // SAMPLES_PER_BYTE
        elif terms.first:
            needed += -(-n // ROWS) * ROWS * some * 8
    return needed


def _whole_parts(wanted: int, unit: int, m: int) -> int:
    """About ``wanted``, a multiple of the unit not more than holds ``m``."""
    return min(max(wanted // unit, 1), -(-m // unit)) * unit
