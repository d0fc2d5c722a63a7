"""The dual engine on a GPU: pre-activations and their change stay there, as `fastntk.engines.dual` says.

Plain descent of the first layer follows the coefficients of the samples by a running sum and corrections for flipped
entries.  For everything else they are kept one by one, scaled by the second layer of their step, so that
``W = W(0) + C^T X``: a pass over memory more in a step, and drift, means and weights need no other record of the run.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastntk.base.packing import TILE, padded_width, tiles_of
from fastntk.cuda.copies import in_precision
from fastntk.cuda.engines import descent, flow  # noqa: F401 - the loops register themselves for their type
from fastntk.cuda.engines.interface import CudaEngine
from fastntk.cuda.matrices.finite import sample_products
from fastntk.device.arrays import empty, upload, zeros
from fastntk.engines.interface import PLAIN, Motion
from fastntk.kernels.cuda.combinations import add, mean
from fastntk.kernels.cuda.dual_flow import change_norms, dual_mean
from fastntk.kernels.cuda.dual_momentum import dual_momentum
from fastntk.kernels.cuda.dual_second import (
    add_coefficients,
    add_damped_coefficients,
    positive_products,
)
from fastntk.kernels.cuda.dual_step import dual_step, sample_coefficients
from fastntk.kernels.cuda.flips import record_flips
from fastntk.kernels.cuda.forward import forward
from fastntk.kernels.cuda.losses import add_scaled
from fastntk.kernels.cuda.plans import MaskedSums, Products
from fastntk.kernels.cuda.reductions import add_shares, column_sums
from fastntk.kernels.cuda.transposed import scaled_transpose
from fastntk.kernels.cuda.views import columns

_WEIGHT_BLOCK = 2**14  # neurons whose weights are recovered by one product


class CudaDualEngine(CudaEngine):
    """Keeps Z(0), its change D and coefficients C, or their corrections, all (samples, neurons); velocities of both."""

    name = "cuda-dual"
    written_patterns = 2

    @staticmethod
    def bytes_needed(
        n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN, shared: bool = False
    ) -> int:
        """The largest of what Z(0), K and the weights at the end take beside the state there is by then."""
        width = padded_width(m)
        Z, begun = n * width * itemsize, CudaDualEngine._shared_bytes(n, n, m, itemsize, motion)
        first = Z + (m + n) * d * itemsize
        if motion.layers == "second":
            return begun + first
        given = itemsize if shared else 12 - itemsize  # bytes of an entry of the samples, float32 or float64
        widened, narrowed = 8 * (given < 8), itemsize * (itemsize < 8)
        K = Z + 8 * n * n + max(n * d * (given + widened), n * n * narrowed)
        arrays = 5 if motion.momentum or motion.flow else 3
        state = arrays * Z + n * n * itemsize + MaskedSums.bytes_needed(n, n, m, np.dtype(f"f{itemsize}"))
        block = min(_WEIGHT_BLOCK, width)
        recorded = motion.plain and not motion.flow
        weights = (n * d + block * d + n * (block if recorded else 1)) * itemsize
        return begun + max(first, K, state + weights)

    def _start(self) -> None:
        (n, _), m, dtype, motion = self.X.shape, self.m, self.dtype, self.motion
        shape = n, self.width
        self._recorded = motion.plain and not motion.flow  # by sums and flips, not one by one
        self._drifts = self._drift_shares(n)
        self._Z0 = zeros(shape, dtype)
        Products().nt(upload(self.X.astype(dtype, copy=False)), upload(self.net.W), self._Z0)
        self._resting_outputs()
        if self.layers == "second":
            self._D = empty((0, self.width), dtype)
            self._keep_room("_u")
            return
        self._K = in_precision(sample_products(upload(self.X)), dtype)
        self._sums = MaskedSums(n, n, m, dtype)
        self._D, self._C = zeros(shape, dtype), zeros(shape, dtype)
        if self._recorded:
            self._total = zeros(TILE * tiles_of(n), np.float64)
        elif motion.momentum:
            self._V, self._VC = zeros(shape, dtype), zeros(shape, dtype)
        self._keep_room("_u", "_D", "_C")

    def _resting_outputs(self) -> None:
        """Outputs, and again the pattern, of pre-activations that have not moved."""
        forward(self._Z0, self.n, self.m, self.a_on_gpu(), self._bits, self._u_shares)
        self._sum_outputs()

    def advance(self, lr: float) -> None:
        scale = self._scale_of(lr)
        if self._second is not None:
            positive_products(self.n, self.m, self._e, self._Z0, self._D, self._drifts)
            self._second.step(self._drifts, lr)
        if self.layers == "second":
            self._resting_outputs()
        else:
            self._move(scale, lr)

    def _move(self, scale: Any, lr: float) -> None:
        """Move the first layer by a step that is scaled by the second layer of before; outputs take the present one."""
        n, m, before, after, a = self.n, self.m, self._bits, self._spare_bits(), self.a_on_gpu()
        for first, count, S in self._sums.blocks(before.view(np.uint32), self._K, self._e):
            if self.motion.momentum:
                dual_momentum(
                    n, m, first, count, after, S, scale, a, self._momentum, self._Z0, self._D, self._V, self._u_shares
                )  # fmt: skip
            else:
                dual_step(
                    n, m, first, count, before, after, S, self._e, scale, a, self._Z0, self._D, self._u_shares,
                    self._drifts,
                )  # fmt: skip
        self._sum_outputs()
        if self._recorded:
            add_shares(self._drifts, self._squares)
            add_scaled(self._derivatives, lr, self._total)
            record_flips(before, after, self._total, self._C)
        elif self.motion.momentum:
            add_damped_coefficients(n, m, before, self._e, scale, self._momentum, self._C, self._VC)
        else:
            add_coefficients(n, m, before, self._e, scale, self._C)
        self._bits = after

    def _blend(self, share: float) -> None:
        if self.layers == "second":
            self._resting_outputs()
            return
        after = self._spare_bits()
        mean(share, self._kept_state["_C"], self._C)
        dual_mean(
            self.n, self.m, share, self.a_on_gpu(), self._Z0, self._kept_state["_D"], self._D, after, self._u_shares
        )  # fmt: skip
        self._sum_outputs()
        self._bits = after

    def _measure_change(self) -> None:
        if self.layers != "second" and not self._recorded:
            change_norms(self.n, self.m, self._C, self._D, self._drifts)
            column_sums(self._drifts, 1.0, self._squares)

    def _changes(self) -> Iterator[tuple[int, int, Any]]:
        """(first, last, change) for ranges of neurons, (d, last - first or more): of the weights but for the scale."""
        (n, d), dtype = self.X.shape, self.dtype
        transposed, products = upload(np.ascontiguousarray(self.X.T, dtype=dtype)), Products()
        block = min(_WEIGHT_BLOCK, self.width)
        change, room = empty((d, block), dtype), zeros((n, block if self._recorded else 1), dtype)
        for first in range(0, self.m, block):
            last = min(first + block, self.m)
            coefficients = columns(self._C, first, last)
            if self._recorded:
                bits = columns(self._bits, first, last)
                sample_coefficients(n, last - first, bits, self._total, coefficients, room)
                coefficients = room
            products.nn(transposed, coefficients, change)
            yield first, last, change

    def _change_scale(self) -> np.ndarray:
        """What the changes of each neuron are to be scaled by."""
        return self._signed_step(1.0) if self._recorded else np.ones(self.width, self.dtype)

    def weights_on_gpu(self) -> Any:
        with self.working():
            weights = upload(self.net.W)
            if self.layers != "second":
                moved, scale = empty(tuple(weights.shape), self.dtype), upload(self._change_scale())
                for first, last, change in self._changes():
                    scaled_transpose(change, scale[first:last], moved[first:last])
                add(weights, moved, weights)
            return weights

    def write_weights(self, out: np.ndarray) -> None:
        if self.layers == "second":
            out[...] = self.net.W
            return
        with self.working():
            scale = self._change_scale()
            for first, last, change in self._changes():
                moved = change.copy_to_host()[:, : last - first].T * scale[first:last, np.newaxis]
                np.add(self.net.W[first:last], moved, out=out[first:last])
