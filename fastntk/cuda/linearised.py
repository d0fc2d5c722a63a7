"""The linearised network on a GPU: `fastntk.engines.linearised` with its sums, moves and comparisons there.

A move is one step of the dual engine from the start, so its kernel does the work; a block of neurons at a time, whose
pre-activations are computed once and moved by all coefficients.
Cost of each row of coefficients: a step of `fastntk.cuda.engines.dual`. Two numbers a row and block come to the host.
"""

from typing import Any

import numpy as np

from fastntk.base.packing import TILE, byte_rows, padded_width, tiles_of
from fastntk.cuda.copies import in_precision
from fastntk.cuda.forward import GpuForward
from fastntk.cuda.matrices.finite import gram, sample_products
from fastntk.device.arrays import empty, upload, zeros
from fastntk.device.driver import guard, require_memory
from fastntk.device.masks import DevicePackedMasks
from fastntk.engines.interface import MAX_RANGES
from fastntk.engines.linearised import Linearised
from fastntk.kernels.cuda.activation import activation
from fastntk.kernels.cuda.conversion import zero
from fastntk.kernels.cuda.dual_step import dual_step
from fastntk.kernels.cuda.flips import flip_count
from fastntk.kernels.cuda.forward import NEURONS
from fastntk.kernels.cuda.plans import MaskedSums, Products
from fastntk.kernels.cuda.reductions import column_sums, largest_root
from fastntk.matrices.passes import terms_of
from fastntk.model.network import TwoLayerReLU

_BLOCK_BYTES = 2**30  # of pre-activations and their change


class GpuLinearised(Linearised):
    """As its base; takes and gives arrays of the host."""

    def __init__(self, X: np.ndarray, net: TwoLayerReLU) -> None:
        self._X, self._net = X, net  # what the base computes from them is computed on the GPU
        (n, _), m, dtype = X.shape, net.width, net.W.dtype
        bits = byte_rows(n) * padded_width(m)
        with guard():
            require_memory(bits + net.W.nbytes, f"the prediction for n={n} samples and m={m} neurons")
            self._samples = upload(X.astype(dtype, copy=False))
            self._pattern = DevicePackedMasks(
                empty((byte_rows(n), padded_width(m)), np.uint8), (n, m), "numba"
            )
            u = empty(n, np.float64)
            GpuForward(n, m, dtype)(self._samples, upload(net.W), upload(net.a), self._pattern.bits, u)
            self.u = u.copy_to_host()

    def gram(self) -> np.ndarray:
        """H(0)."""
        with guard():
            points, both = upload(self._X), (self._pattern, self._pattern)
            H = gram(points, points, both, terms_of("first", self._net.a), np.dtype(np.float64), None)
            return H.copy_to_host()

    def moved(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `fastntk.engines.linearised.Linearised.moved`."""
        (n, m), net = self._pattern.shape, self._net
        block = _neurons_of_block(n, m, net.W.dtype)
        padded = np.zeros((len(coefficients), TILE * tiles_of(n)), dtype=net.W.dtype)
        with np.errstate(over="ignore"):  # shows in the result
            padded[:, :n] = coefficients
        with guard():
            K = in_precision(sample_products(upload(self._X)), net.W.dtype)
            rows, flips = [upload(row) for row in padded], zeros(len(padded), np.int64)
            drifts = [self._drifts(slice(first, min(first + block, m)), K, rows, flips)
                      for first in range(0, m, block)]  # fmt: skip
            return np.max(drifts, axis=0), flips.copy_to_host() / (n * m)

    def _drifts(self, here: slice, K: Any, rows: list[Any], flips: Any) -> np.ndarray:
        """Largest drift in a block of neurons for each row of coefficients, whose flips are added."""
        net, n, m = self._net, len(self._X), here.stop - here.start
        dtype, width, samples = net.W.dtype, padded_width(m), TILE * tiles_of(n)
        require_memory(
            2 * n * width * dtype.itemsize + MaskedSums.bytes_needed(n, n, m, dtype),
            f"the prediction for n={n} samples and {m} neurons at a time",
        )
        scale, a = (upload(v.astype(dtype)) for v in (net.a[here] / -np.sqrt(net.width), net.a[here]))
        Z0, D = empty((n, width), dtype), empty((n, width), dtype)
        before, after = zeros((byte_rows(n), width), np.uint8), zeros((byte_rows(n), width), np.uint8)
        u_shares = empty((-(-m // NEURONS), samples), np.float64)
        shares = zeros((min(tiles_of(n), MAX_RANGES), width), np.float64)
        squares, log = empty(width, np.float64), empty(len(rows), np.float64)
        sums = MaskedSums(n, n, m, dtype)
        Products().nt(self._samples, upload(net.W[here]), Z0)
        activation(Z0, n, m, before)
        for k, e in enumerate(rows):
            zero(D)
            for first, count, S in sums.blocks(before.view(np.uint32), K, e):
                dual_step(
                    n, m, first, count, before, after, S, e, scale, a, Z0, D, u_shares, shares
                )  # fmt: skip
            column_sums(shares, 1.0, squares)
            largest_root(squares, m, log, k)
            flip_count(before.view(np.uint32), after.view(np.uint32), flips, k)
        return np.asarray(log.copy_to_host())


def _neurons_of_block(n: int, m: int, dtype: np.dtype) -> int:
    """Neurons whose pre-activations and changes are kept at once, a multiple of those of a thread block."""
    fitting = _BLOCK_BYTES // (2 * n * dtype.itemsize * NEURONS) * NEURONS
    return min(max(fitting, NEURONS), padded_width(m))
