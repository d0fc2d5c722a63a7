"""Gram matrices at finite width of points on a GPU, as `fastntk.matrices.blocks` says."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

import fastntk.base.checks
from fastntk.base.packing import SAMPLES_PER_BYTE, byte_rows, padded_width
from fastntk.base.progress import Progress
from fastntk.cuda import checks
from fastntk.cuda.forward import Forward, product_bytes
from fastntk.cuda.matrices.neurons import HeldThere, Uploaded, add_rows
from fastntk.cuda.matrices.passes import (
    PART,
    Sums,
    diagonal_over_masks,
    diagonal_over_neurons,
    piece_of,
    sum_over_masks,
    sum_over_neurons,
)
from fastntk.cuda.matrices.patterns import packed
from fastntk.cuda.matrices.source import DeviceSource, compute_there
from fastntk.cuda.rows import RowsThere, in_precision, measure
from fastntk.device import arrays as device_arrays
from fastntk.device.arrays import empty, library_of, require_memory
from fastntk.device.masks import DevicePackedMasks
from fastntk.kernels.cuda.conversion import mirror
from fastntk.kernels.cuda.gram_sums import gram_entries
from fastntk.kernels.cuda.plans import Products
from fastntk.kernels.cuda.views import columns as columns_of
from fastntk.matrices.finite import checked_layers, checked_pair, one_source, terms_of
from fastntk.matrices.neurons import DrawnNeurons, Neurons
from fastntk.matrices.passes import Terms
from fastntk.matrices.rows import warn_parallel_rows

# Of patterns that are kept for all blocks, if that is a quarter of the free memory at most.
KEPT_BYTES = 2**32


class FiniteThere(DeviceSource):
    """Blocks of ``(1/m) sum_r [x.z a_r^2 1{w_r.x >= 0, w_r.z >= 0} + relu(w_r.x) relu(w_r.z)]``, or of one term.

    Patterns that take little memory are kept; otherwise every block is a pass over all neurons, and as large as fits.
    """

    def __init__(
        self,
        points: Any,
        others: Any,
        neurons: Neurons | tuple[DevicePackedMasks, DevicePackedMasks],
        terms: Terms,
        dtype: np.dtype,
        library: str,
    ) -> None:
        alike = isinstance(neurons, Neurons) or neurons[0] is neurons[1]
        self.symmetric, self.library = others is points and alike, library
        self.shape, self.dtype = (len(points), len(others)), dtype
        self.points, self.others, self._terms = points, others, terms
        self._neurons = neurons if isinstance(neurons, Neurons) else None
        self._bits: tuple[Any, Any] | None = None
        if isinstance(neurons, Neurons):
            self.width = neurons.count
        else:
            self.width = neurons[0].shape[1]
            self._bits = neurons[0].bits, neurons[1].bits
        self._given = self._bits
        samples = len(points) + (0 if self.symmetric else len(others))
        size = samples * self.width // SAMPLES_PER_BYTE
        small = size <= min(KEPT_BYTES, device_arrays.available_bytes() // 4)
        self._keeps = terms.first and not terms.second and small
        self.passes = self._neurons is not None and not self._keeps

    def fill_there(self, rows: slice, columns: slice, out: Any) -> None:
        """Compute one block; counts of equal ranges of a symmetric matrix by halves."""
        same, terms = self._same(rows, columns), self._terms
        sums, corner = self._sums(rows, columns)
        K = None
        if terms.first:
            left = in_precision(self.points[rows], np.dtype(np.float64))
            right = left if same else in_precision(self.others[columns], np.dtype(np.float64))
            K = empty(tuple(out.shape), np.float64)
            Products().nt(left, right, K)
        gram_entries(K, sums.first, sums.second, corner, same, terms.scale, float(self.width), out)

    def all_counts(self) -> Any:
        """Common activations of all pairs, ``sum_r 1{w_r.x >= 0, w_r.z >= 0}``, exact int64 on the GPU."""
        n, k = self.shape
        return self._sums(slice(0, n), slice(0, k))[0].first

    def scratch_bytes(self, n: int, k: int) -> int:
        """Samples and their products, sums, one piece of the neurons or the patterns of all."""
        terms, m, (rows, d) = self._terms, self.width, self.points.shape
        alone = self.symmetric and n == k == rows
        samples, itemsize = n if alone else n + k, 8
        needed = 8 * n * k * terms.first + 8 * samples * d
        room = piece_of(samples, m)
        if self._neurons is not None:
            dtype = self._neurons.dtype
            itemsize = dtype.itemsize
            seen = samples
            room = piece = piece_of(samples, m, d, itemsize)
            if self._keeps:
                seen = rows + (0 if self.symmetric else len(self.others))
                room, piece = piece_of(samples, m), piece_of(rows, m, d, itemsize)
            kept = padded_width(m) if self._keeps else room
            needed += byte_rows(seen) * kept + seen * d * itemsize + piece * d * itemsize
            needed += product_bytes(seen, piece, dtype) + terms.second * samples * PART * itemsize
        if terms.weights is not None:
            needed += 8 * m
        return needed + Sums.bytes_needed(n, None if alone else k, terms, room, itemsize)

    def diagonal(self) -> np.ndarray:
        """The diagonal, on the host, in one pass over the neurons: O(n d m), not the O(n d) of a limit."""
        n, terms = self.shape[0], self._terms
        second = np.zeros(n)
        if self._neurons is None:
            assert self._bits is not None
            active = diagonal_over_masks(self._bits[0], n, self.width, terms)
        else:
            active, second = diagonal_over_neurons(self._neurons, self.points, terms)
        total = second * terms.second
        if terms.first:
            total = total + terms.scale * measure(self.points, "X").squares * active
        return np.asarray((total / self.width).astype(self.dtype))

    def fingerprint(self) -> str:
        """Digest of points, neurons (all of them come to the host), weights and precision."""
        terms = self._terms
        options = (self.shape, self.symmetric, self.dtype.str, terms.first, terms.second, terms.scale)
        digest = hashlib.sha256(repr(("gpu", *options)).encode())
        for points in (self.points, self.others):
            digest.update(repr((points.dtype.str, tuple(points.shape))).encode())
            add_rows(points, digest)
        if terms.weights is not None:
            digest.update(terms.weights.data)
        if self._neurons is not None:
            digest.update(repr((self._neurons.count, self._neurons.dtype.str)).encode())
            self._neurons.add_to(digest)
        for bits in self._given or ():
            add_rows(bits, digest)
        return digest.hexdigest()

    def _same(self, rows: slice, columns: slice) -> bool:
        return self.symmetric and rows == columns

    def _sums(self, rows: slice, columns: slice) -> tuple[Sums, tuple[int, int]]:
        """Sums over the neurons, and where in those of the first term the block begins."""
        same = self._same(rows, columns)
        if self.passes and self._neurons is not None:
            left = self.points[rows]
            right = left if same else self.others[columns]
            return sum_over_neurons(self._neurons, left, right, self._terms), (0, 0)
        if self._bits is None:
            pattern = self._pattern(self.points)
            self._bits = pattern, pattern if self.symmetric else self._pattern(self.others)
        bits, n, top = _some(self._bits[0], rows)
        others, k, start = (bits, n, top) if same else _some(self._bits[1], columns)
        return sum_over_masks(bits, others, n, k, self.width, self._terms), (top, start)

    def _pattern(self, points: Any) -> Any:
        """The mask bytes of some points on all neurons."""
        neurons = self._neurons
        assert neurons is not None
        n, m, dtype = len(points), neurons.count, neurons.dtype
        piece = piece_of(n, m, neurons.columns, dtype.itemsize)
        size = byte_rows(n) * padded_width(m)
        require_memory(
            size + product_bytes(n, piece, dtype),
            f"the activation pattern of n={n} samples and m={m} neurons",
        )
        bits = empty((byte_rows(n), padded_width(m)), np.uint8)
        forward, samples = Forward(n, piece, dtype, outputs=False), in_precision(points, dtype)
        first = 0
        for W in neurons.pieces(piece):
            forward.masks(samples, W, columns_of(bits, first, first + padded_width(len(W))))
            first += len(W)
        return bits


def _some(bits: Any, samples: slice) -> tuple[Any, int, int]:
    """Rows of mask bytes that hold the samples, and which of theirs are the last and the first of them."""
    first, start = divmod(samples.start, SAMPLES_PER_BYTE)
    count = start + samples.stop - samples.start
    return bits[first : first + byte_rows(count)], count, start


def gram_source(
    X: Any, W: Any = None, a: Any = None, Z: Any = None, *, masks: Any = None, layers: str = "first",
    width: int | None = None, seed: int = 0, dtype: npt.DTypeLike = "float64",
) -> FiniteThere:  # fmt: skip
    """As `fastntk.matrices.finite.gram_source`."""
    first, second = checked_layers(layers, masks)
    kind = fastntk.base.checks.floating_dtype(dtype)
    points = others = checks.matrix(X, "X")
    if Z is not None:
        others = checks.matrix(Z, "Z")
        fastntk.base.checks.same_columns(points, "X", others, "Z")
    given = one_source(W=W, masks=masks, width=width)
    found: Neurons | tuple[DevicePackedMasks, DevicePackedMasks]
    if masks is not None:
        found = checked_pair(masks, len(points), None if Z is None else len(others), packed)
        m = found[0].shape[1]
    else:
        if width is not None:
            found = Uploaded(DrawnNeurons(points.shape[1], width, seed))
        else:
            weights = checks.matrix(W, "W")
            fastntk.base.checks.same_columns(points, "X", weights, "W")
            found = HeldThere(weights)
        for samples, name in ((points, "X"), (others, "Z")):
            checks.representable(samples, name, found.dtype)
        m = found.count
    signs = np.ones(1) if a is None else checks.vector(a, "a", m, given, np.float64).copy_to_host()
    return FiniteThere(points, others, found, terms_of(first, second, signs), kind, library_of(X))


def gram(X: Any, *network: Any, out: Any, progress: Progress, **options: Any) -> Any:
    """See `fastntk.gram`."""
    source = gram_source(X, *network, **options)
    if source.symmetric:
        found = measure(source.points, "X")
        warn_parallel_rows(RowsThere(source.points), "X", found, opposite=False, stacklevel=5)
    return compute_there(source, out, progress)


def sample_products(points: Any, scale: float = 1.0) -> Any:
    """``scale X X^T`` in float64, exactly symmetric."""
    n, rows = len(points), in_precision(points, np.dtype(np.float64))
    require_memory(16 * n * n, f"the Gram matrix of n={n} samples")
    products = empty((n, n), np.float64)
    Products().nt(rows, rows, products)
    mirror(products, scale)
    return products
