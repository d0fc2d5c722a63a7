"""The tangent kernel H(k) of a run on a GPU, where it stays."""

import functools
from typing import Any

import numpy as np

import fastntk.training.tangent
from fastntk.cuda.operations import sample_products
from fastntk.cuda.rows import in_precision
from fastntk.device.arrays import empty, guard, require_memory, upload, zeros
from fastntk.device.masks import DevicePackedMasks
from fastntk.kernels.cuda.coactivation import gram_from_counts
from fastntk.kernels.cuda.conversion import zero
from fastntk.kernels.cuda.gram_sums import (
    PART,
    add_sums,
    gram_entries,
    positive,
    weigh,
)
from fastntk.kernels.cuda.plans import Counting, Products
from fastntk.model.network import TwoLayerReLU


class TangentKernel(fastntk.training.tangent.TangentKernel):
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
        self._counting: tuple[Counting, Any] | None = None
        self._weighted: _Sums | None = None
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
        if self._layers == "first":
            self._of_patterns(engine.masks, H)
        elif self._layers == "both":
            first = self._weighted_counts(engine.masks, engine.a_there())
            combine(self._products, first, self._output_products(engine.weights_there()), engine.m, H)
        else:
            if self._constant_there is None:  # never changes: the first layer does not
                self._constant_there = empty(tuple(H.shape), np.float64)
                second = self._output_products(engine.weights_there())
                combine(None, None, second, engine.m, self._constant_there)
            H.copy_to_device(self._constant_there)

    def initial(self, engine: Any) -> Any:
        """H at the start."""
        if self._layers != "first":
            return super().initial(engine)
        with guard():
            H = empty((len(self._X),) * 2, np.float64)
            self._of_patterns(engine.initial_masks, H)
            return H

    @functools.cached_property
    def _products(self) -> Any:
        """``X X^T``, times ``a_r^2`` where all of them are the same."""
        return sample_products(upload(self._X), self._scale)

    @functools.cached_property
    def _fixed_a(self) -> Any:
        return upload(self._net.a)

    def _of_patterns(self, masks: DevicePackedMasks, H: Any) -> None:
        """H = that of the first layer alone."""
        n, m = masks.shape
        if not self._equal:
            combine(self._products, self._weighted_counts(masks, self._fixed_a), None, m, H)
            return
        if self._counting is None:
            width = masks.bits.shape[1]
            require_memory(8 * n * n + Counting.bytes_needed(n, width), f"the counts of n={n} samples")
            self._counting = Counting(n, width), empty((n, n), np.int64)
        counting, counts = self._counting
        counting.counts(masks.bits.view(np.uint32), counts)
        gram_from_counts(self._products, counts, float(m), H)

    def _weighted_counts(self, masks: DevicePackedMasks, a: Any) -> Any:
        """``sum_r a_r^2 M_ir M_jr``."""
        m = masks.shape[1]
        if self._weighted is None:
            self._weighted = _Sums(len(self._X), np.dtype(np.float64))
        sums, weights = self._weighted.start(), in_precision(a, np.dtype(np.float64))
        for first in range(0, m, PART):
            some = weights[first : min(first + PART, m)]
            weigh(masks.bits, first, len(some), some, sums.columns)
            sums.add()
        return sums.total

    def _output_products(self, W: Any) -> Any:
        """``sum_r relu(w_r . x_i) relu(w_r . x_j)``."""
        if self._positive is None:
            self._positive = _Sums(len(self._X), W.dtype)
            self._samples = in_precision(upload(self._X), W.dtype)
        sums = self._positive.start()
        for first in range(0, len(W), PART):
            some = W[first : first + PART]
            sums.products.nt(self._samples, some, sums.columns)
            positive(sums.columns, len(some))
            sums.add()
        return sums.total


def combine(K: Any, first: Any, second: Any, m: int, H: Any) -> None:
    """H = (K * first + second) / m, of what is given."""
    gram_entries(K, first, second, (0, 0), True, 1.0, float(m), H)


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
