"""Blocks of the Gram matrix at finite width: from kept patterns, or in one pass over the neurons each."""

import hashlib
import threading
from typing import Any

import numba
import numpy as np

from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.base.packing import SAMPLES_PER_BYTE, PackedMasks, byte_rows, padded_width
from fastntk.compilation.threads import kernel_threads
from fastntk.kernels.cpu.coactivation import BLOCK
from fastntk.kernels.cpu.gram_sums import ROWS
from fastntk.kernels.cpu.gram_tiles import SIDE, add_counts, gram_tiles
from fastntk.kernels.scratch import thread_slots
from fastntk.matrices.neurons import DrawnNeurons, HeldNeurons, Neurons, drawing_bytes
from fastntk.matrices.passes import Terms, TileSums, pass_bytes, piece_size, sum_over_masks, sum_over_neurons
from fastntk.matrices.tiled.blocks import Blocks
from fastntk.matrices.tiled.source import Estimate, GramSource
from fastntk.model.forward import Forward
from fastntk.model.patterns import panels

KEPT_BYTES = 2**28  # of patterns, in both packings, that are kept for all blocks


class FiniteGram(GramSource):
    """Blocks of ``(1/m) sum_r [x.z a_r^2 1{w_r.x >= 0, w_r.z >= 0} + relu(w_r.x) relu(w_r.z)]``, or of one term.

    Patterns of up to 256 MiB are kept in memory; otherwise every block is a pass over all neurons.

    Attributes
    ----------
    points, others : ndarray
        Samples of the rows and of the columns; the same object if the matrix is symmetric.
    width : int
        Number of neurons m.
    """

    def __init__(
        self,
        points: np.ndarray,
        others: np.ndarray,
        neurons: Neurons | tuple[PackedMasks, PackedMasks],
        terms: Terms,
        dtype: np.dtype,
    ) -> None:
        alike = isinstance(neurons, Neurons) or neurons[0] is neurons[1]
        self.symmetric = others is points and alike
        self.shape, self.dtype = (len(points), len(others)), dtype
        self.points, self.others, self._terms = points, others, terms
        self._neurons = neurons if isinstance(neurons, Neurons) else None
        self._masks = None if isinstance(neurons, Neurons) else neurons
        self.width = neurons.count if isinstance(neurons, Neurons) else neurons[0].shape[1]
        self._panels: tuple[np.ndarray, np.ndarray] | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock and what can be made again."""
        return {**self.__dict__, "_panels": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @staticmethod
    def estimate(blocks: Blocks, d: int, m: int, terms: Terms) -> Estimate:
        """For float64 points of dimension d and m neurons that are drawn."""
        n, k = blocks.shape
        sides = (n,) if blocks.symmetric else (n, k)
        dense = m * (terms.second + (terms.first and not terms.counts))
        if _keeps_patterns(sum(sides), m, terms):
            passes, points = len(sides), sum(sides)
            filling, lasting = _kept_bytes(sides, d, m, terms)
        else:  # every block applies all neurons to its points
            passes = len(blocks)
            points = n * blocks.rows if blocks.symmetric else n * blocks.columns + k * blocks.rows
            filling, lasting = _passing_bytes(blocks, d, m, terms)
        scratch = 8 * thread_slots() * (ROWS * ROWS + 2 * BLOCK * BLOCK)
        return Estimate(
            multiply_adds=blocks.computed * (d + dense) + points * d * m,
            bit_products=blocks.computed * m if terms.counts else 0,
            passes=passes,
            points=points,
            filling_bytes=filling + scratch,
            lasting_bytes=lasting + scratch,
        )

    def fill(self, rows: slice, columns: slice, out: np.ndarray) -> None:
        """Compute one block; equal ranges of a symmetric matrix by halves."""
        left = np.ascontiguousarray(self.points[rows], np.float64)
        right = left if self._same(rows, columns) else np.ascontiguousarray(self.others[columns], np.float64)
        self._write(rows, columns, left, right, float(self.width), out)

    def counts(self, rows: slice, columns: slice) -> np.ndarray:
        """Common activations of one block, ``sum_r 1{w_r.x >= 0, w_r.z >= 0}``, exact int64."""
        ones = np.ones((rows.stop - rows.start, 1))
        right = ones if self._same(rows, columns) else np.ones((columns.stop - columns.start, 1))
        found = np.empty((len(ones), len(right)))  # exact up to 2^53
        self._write(rows, columns, ones, right, 1.0, found)
        return found.astype(np.int64)

    def diagonal(self) -> np.ndarray:
        """The diagonal, in one pass over the neurons: O(n d m), not the O(n d) of a limit."""
        n = self.shape[0]
        everything = slice(0, n)
        starts = np.arange(0, n, ROWS)
        tiles = np.stack((starts, starts), axis=1)
        lengths = np.einsum("ij,ij->i", self.points, self.points, dtype=np.float64)
        with kernel_threads(), numba.parallel_chunksize(1):  # tiles take unequal times
            sums = self._sums(everything, everything, tiles)
        total = np.zeros(n)
        if sums.counts.size:
            blocks = sums.counts[:, :: SIDE + 1]
            active = np.einsum("tbii->tbi", blocks).reshape(-1)[:n].astype(np.float64)
            total += lengths * self._terms.scale * active / self.width
        for part, factors in ((sums.weighted, lengths), (sums.second, np.ones(n))):
            if part.size:
                total += factors * np.einsum("tii->ti", part).reshape(-1)[:n] / self.width
        return total.astype(self.dtype)

    def fingerprint(self) -> str:
        """Digest of points, neurons (all of them are read), weights and precision."""
        terms = self._terms
        options = (self.shape, self.symmetric, self.dtype.str, terms.first, terms.second, terms.scale)
        digest = hashlib.sha256(repr(options).encode())
        for points in (self.points, self.others):
            digest.update(repr((points.dtype.str, points.shape)).encode())
            digest.update(np.ascontiguousarray(points).data)
        if terms.weights is not None:
            digest.update(terms.weights.data)
        if self._neurons is not None:
            digest.update(repr((self._neurons.count, self._neurons.dtype.str)).encode())
            self._neurons.add_to(digest)
        for masks in self._masks or ():
            digest.update(repr(masks.shape).encode())
            digest.update(masks.bits.data)
        return digest.hexdigest()

    def _same(self, rows: slice, columns: slice) -> bool:
        return self.symmetric and rows == columns

    def _write(
        self, rows: slice, columns: slice, left: np.ndarray, right: np.ndarray, m: float, out: np.ndarray
    ) -> None:
        """Combine products of `left` and `right` with the sums over the neurons."""
        same, kept = self._same(rows, columns), self._keeps()
        P = Q = np.empty((0, 0, 0), np.uint64)
        top = start = 0
        with kernel_threads(), numba.parallel_chunksize(1):  # tiles take unequal times
            if kept:
                P, Q = self._kept_panels()
                top, start = rows.start % BLOCK, columns.start % BLOCK  # panels come in whole blocks
                P = P[(rows.start - top) // SAMPLES_PER_BYTE :]
                Q = Q[(columns.start - start) // SAMPLES_PER_BYTE :]
            corner = top, top + len(left), start, start + len(right)
            tiles = _tiles(corner[1], corner[3], same)
            sums = TileSums.zeros(0, self._terms) if kept else self._sums(rows, columns, tiles)
            slots = thread_slots()
            gram_tiles(
                left, right, tiles, corner, same, self._terms.scale, m, P, Q, sums.counts, sums.weighted, sums.second,
                aligned_zeros((slots, ROWS, ROWS), np.float64), aligned_zeros((slots, BLOCK, BLOCK), np.uint64),
                aligned_zeros((slots, BLOCK, BLOCK), np.float64), out,
            )  # fmt: skip
        if self._terms.second and not np.isfinite(out).all():
            raise ValueError(
                f"X and W must keep the sums over the neurons within the range of {self.dtype.name}, and over 512 of "
                "them within that of W, got an overflow"
            )

    def _keeps(self) -> bool:
        """Whether the patterns of all points are kept: they are given, or they take little memory."""
        if not self._terms.counts or self._terms.second:
            return False
        samples = len(self.points) + (0 if self.symmetric else len(self.others))
        return self._masks is not None or _keeps_patterns(samples, self.width, self._terms)

    def _kept_panels(self) -> tuple[np.ndarray, np.ndarray]:
        """Panels of rows and columns, made once."""
        with self._lock:
            if self._panels is None:
                left, right = self._masks or (self._pattern(self.points), None)
                if right is None:
                    right = left if self.symmetric else self._pattern(self.others)
                P = panels(left)[0]
                self._panels = P, P if right is left else panels(right)[0]
            return self._panels

    def _pattern(self, points: np.ndarray) -> PackedMasks:
        """The pattern of some points on all neurons."""
        neurons = self._neurons
        assert neurons is not None
        n, m, dtype = len(points), neurons.count, neurons.dtype
        require_memory(
            n * m // 4 + points.nbytes, f"the activation pattern of n={n} samples and m={m} neurons"
        )
        masks = PackedMasks.empty(n, m)
        forward = Forward(points, m, dtype)
        held = isinstance(neurons, HeldNeurons)
        size = m if held else piece_size((n,), neurons.columns, m, dtype, self._terms)
        first = 0
        for W in neurons.pieces(size):
            forward.signs(W, first, masks.bits)
            first += len(W)
        return masks

    def _sums(self, rows: slice, columns: slice, tiles: np.ndarray) -> TileSums:
        """Sums over the neurons for tiles of a block."""
        same = self._same(rows, columns)
        if self._keeps():
            sums = TileSums.zeros(len(tiles), self._terms)
            P, Q = self._kept_panels()
            add_counts(P, Q, *self.shape, same, tiles, sums.counts)
            return sums
        if self._neurons is None:
            assert self._masks is not None
            return sum_over_masks(self._masks, rows, columns, same, self._terms, tiles)
        left = self.points[rows]
        right = left if same else self.others[columns]
        return sum_over_neurons(self._neurons, left, right, self._terms, tiles)


def _keeps_patterns(samples: int, m: int, terms: Terms) -> bool:
    """Whether the patterns of all points are kept, not computed anew for every block."""
    return terms.counts and not terms.second and samples * m // 4 <= KEPT_BYTES


def _kept_bytes(sides: tuple[int, ...], d: int, m: int, terms: Terms) -> tuple[int, int]:
    """Memory of patterns that are kept: while they are made of drawn neurons, and after."""
    dtype = DrawnNeurons.dtype
    patterns = [byte_rows(n) * padded_width(m) for n in sides]
    making = [
        Forward.bytes_needed(n, d, m, dtype) + drawing_bytes(piece_size((n,), d, m, dtype, terms), d, m)
        for n in sides
    ]
    # Made one after the other, then brought into panels one after the other.
    most = max(sum(patterns[: k + 1]) + some for k, some in enumerate(making))
    return max(most, 2 * sum(patterns)), sum(patterns)


def _passing_bytes(blocks: Blocks, d: int, m: int, terms: Terms) -> tuple[int, int]:
    """Memory of a block while drawn neurons pass by, and of its sums."""
    block, dtype = blocks.largest, DrawnNeurons.dtype
    height, width = (-(-side // ROWS) for side in block)
    kinds: list[tuple[tuple[int, ...], int]] = []
    if len(blocks) > 1 or not blocks.symmetric:
        kinds.append((block, height * width))
    if blocks.symmetric:  # on the diagonal there is one set of points
        kinds.append((block[:1], height * (height + 1) // 2))
    sums = [TileSums.bytes_needed(tiles, terms) for _, tiles in kinds]
    passing = [
        pass_bytes(sides, d, m, dtype, terms) + drawing_bytes(piece_size(sides, d, m, dtype, terms), d, m)
        for sides, _ in kinds
    ]
    return max(map(sum, zip(sums, passing, strict=True))), max(sums)


def _tiles(bottom: int, right: int, symmetric: bool) -> np.ndarray:
    """First row and column of every tile; of a symmetric matrix, of those on and below the diagonal."""
    height, width = -(-bottom // ROWS), -(-right // ROWS)
    grid = np.tril_indices(height) if symmetric else np.indices((height, width)).reshape(2, -1)
    return ROWS * np.stack(tuple(grid), axis=1).astype(np.int64)
