"""The tangent kernel H(k) of a run on a GPU, where it stays."""

from typing import Any

import numpy as np

import fastntk.tangent
from fastntk.cuda.operations import sample_products
from fastntk.cuda.rows import in_precision
from fastntk.device_arrays import empty, guard, require_memory, upload, zeros
from fastntk.device_masks import DevicePackedMasks
from fastntk.kernels.cuda.coactivation import gram_from_counts
from fastntk.kernels.cuda.conversion import zero
from fastntk.kernels.cuda.gram_sums import (
    PART,
    add_sums,
    add_to_gram,
    gram_from_sums,
    positive,
    weigh,
)
from fastntk.kernels.cuda.plans import Counting, Products
from fastntk.network import TwoLayerReLU


class TangentKernel(fastntk.tangent.TangentKernel):
    """As its base, from the state of an engine on the GPU, with matrices there.

    Scratch is allocated when first wanted, and kept: a step allocates nothing.
    """

    on_gpu = True

    def __init__(self, X: np.ndarray, net: TwoLayerReLU, layers: str) -> None:
        super().__init__(X, net, layers)
        squares = np.square(net.a, dtype=np.float64)
        self._equal = layers == "first" and bool((squares == squares[0]).all())
        self._scale = float(squares[0]) if self._equal else 1.0
        self._constant_there: Any = None
        self._K: Any = None
        self._positive: _Sums | None = None

    def __call__(self, engine: Any, out: Any = None) -> Any:
        """H at the present state; written to ``out``, if that is given, without waiting for it."""
        if out is not None:
            self._write(engine, out)
            return out
        with guard():
            H = empty((len(self._X),) * 2, np.float64)
            self._write(engine, H)
            return H

    def _write(self, engine: Any, H: Any) -> None:
        if self._layers == "second":  # never changes: the first layer does not
            if self._constant_there is None:
                self._constant_there = zeros(tuple(H.shape), np.float64)
                self._add_second(engine.weights_there(), self._constant_there)
            H.copy_to_device(self._constant_there)
            return
        self._first(engine.masks, self._net.a if self._layers == "first" else engine.a_there(), H)
        if self._layers == "both":
            self._add_second(engine.weights_there(), H)

    def initial(self, engine: Any) -> Any:
        """H at the start."""
        if self._layers != "first":
            return super().initial(engine)
        with guard():
            H = empty((len(self._X),) * 2, np.float64)
            self._first(engine.initial_masks, self._net.a, H)
            return H

    def _prepare(self, masks: DevicePackedMasks) -> None:
        """What an H of patterns takes beside them."""
        n, width = masks.shape[0], masks.bits.shape[1]
        self._K = sample_products(upload(self._X), self._scale)
        if self._equal:
            require_memory(8 * n * n + Counting.bytes_needed(n, width), f"the counts of n={n} samples")
            self._counting, self._counts = Counting(n, width), empty((n, n), np.int64)
        else:
            self._weighted = _Sums(n, np.dtype(np.float64))

    def _first(self, masks: DevicePackedMasks, a: Any, H: Any) -> None:
        """H = the part of the first layer."""
        m = masks.shape[1]
        if self._K is None:
            self._prepare(masks)
        if self._equal:
            self._counting.counts(masks.bits.view(np.uint32), self._counts)
            gram_from_counts(self._K, self._counts, float(m), H)
            return
        there = in_precision(upload(a) if isinstance(a, np.ndarray) else a, np.dtype(np.float64))
        sums = self._weighted.start()
        for first in range(0, m, PART):
            weigh(masks.bits, first, min(PART, m - first), there, sums.columns)
            sums.add()
        gram_from_sums(self._K, sums.total, float(m), H)

    def _add_second(self, W: Any, H: Any) -> None:
        """H += the part of the second layer."""
        if self._positive is None:
            self._positive = _Sums(len(self._X), W.dtype)
            self._samples = in_precision(upload(self._X), W.dtype)
        sums, m = self._positive.start(), len(W)
        for first in range(0, m, PART):
            count = min(PART, m - first)
            sums.products.nt(self._samples, W[first : first + count], sums.columns)
            positive(sums.columns, count)
            sums.add()
        add_to_gram(sums.total, float(m), H)


class _Sums:
    """``total += columns columns^T``, 512 columns at a time."""

    def __init__(self, n: int, dtype: np.dtype) -> None:
        require_memory(n * (n * (8 + dtype.itemsize) + PART * dtype.itemsize), f"the sums of n={n} samples")
        self.total, self._part = zeros((n, n), np.float64), empty((n, n), dtype)
        self.columns, self.products = empty((n, PART), dtype), Products()

    def start(self) -> "_Sums":
        """Begin at zero."""
        zero(self.total)
        return self

    def add(self) -> None:
        self.products.nt(self.columns, self.columns, self._part)
        add_sums(self._part, self.total)
