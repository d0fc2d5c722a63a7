"""The primal engine on a GPU: the weights and their change stay there, as `fastntk.engines.primal` says."""

from typing import Any

import numpy as np

from fastntk.base.packing import padded_width
from fastntk.cuda.engines import descent, flow  # noqa: F401 - the loops register themselves for their type
from fastntk.cuda.engines.interface import CudaEngine
from fastntk.cuda.forward import GpuForward, product_bytes
from fastntk.device.arrays import empty, upload, zeros
from fastntk.engines.interface import MAX_RANGES, PLAIN, Motion
from fastntk.kernels.cuda.combinations import add, mean
from fastntk.kernels.cuda.plans import MaskedSums
from fastntk.kernels.cuda.primal_momentum import primal_momentum, weight_products
from fastntk.kernels.cuda.primal_step import primal_step
from fastntk.kernels.cuda.reductions import column_sums
from fastntk.kernels.cuda.transposed import scaled_transpose


class CudaPrimalEngine(CudaEngine):
    """Keeps W(0), its change D and a velocity, all transposed: (columns, neurons); W is what a product read last."""

    name = "cuda-primal"
    written_patterns = 1

    @staticmethod
    def bytes_needed(
        n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN, shared: bool = False
    ) -> int:
        """W(0), its change, W, velocity or a second change; X; sums; shares; a block of pre-activations."""
        width, dtype = padded_width(m), np.dtype(f"f{itemsize}")
        arrays = 1 if motion.layers == "second" else 4 if motion.momentum or motion.flow else 3
        products = 0 if motion.layers == "first" else 8 * width * CudaPrimalEngine._ranges(d)
        scratch = products + MaskedSums.bytes_needed(n, d, m, dtype) + product_bytes(n, m, dtype)
        rest = CudaPrimalEngine._shared_bytes(n, d, m, itemsize, motion)
        return (arrays * d * width + n * d) * itemsize + scratch + rest

    def _start(self) -> None:
        (n, d), m, dtype, width = self.X.shape, self.m, self.dtype, self.width
        moves = self.layers != "second"
        self._samples = upload(self.X.astype(dtype, copy=False))
        start = np.zeros((d, width), dtype=dtype)
        start[:, :m] = self.net.W.T
        self._W0 = upload(start)
        self._W = upload(start) if moves else self._W0
        self._D = zeros((d, width), dtype) if moves else empty((0, width), dtype)
        if moves and self.motion.momentum:
            self._V = zeros((d, width), dtype)
        self._drifts = self._drift_shares(d)
        if self._second is not None:
            self._product_shares = self._drift_shares(d)
        self._sums = MaskedSums(n, d, m, dtype)
        self._forward = GpuForward(n, m, dtype)
        self._find_outputs()
        self._keep_room("_u", *(("_D", "_squares") if moves else ()))

    def _find_outputs(self) -> None:
        self._forward(self._samples, self._W, self.a_on_gpu(), self._bits, self._u, transposed=True)

    def advance(self, lr: float) -> None:
        scale = self._scale_of(lr)
        for first, count, S in self._sums.blocks(self._bits.view(np.uint32), self._samples, self._e):
            if self._second is not None:
                weight_products(first, count, S, self._W0, self._D, self._product_shares)
            if self.layers == "second":
                continue
            if self.motion.momentum:
                primal_momentum(
                    first, count, S, scale, self._momentum, self._W0, self._D, self._V, self._W, self._drifts
                )
            else:
                primal_step(first, count, S, scale, self._W0, self._D, self._W, self._drifts)
        if self._second is not None:
            self._second.step(self._product_shares, lr)
        column_sums(self._drifts, 1.0, self._squares)
        self._find_moved_outputs()

    def _find_moved_outputs(self) -> None:
        """Outputs and pattern, which may be written over the last one unless that is to be kept."""
        if self.layers != "second" and (self._bits is self._initial_bits or self._bits is self._kept_bits):
            self._bits = self._spare_bits()
        self._find_outputs()

    def _blend(self, share: float) -> None:
        if self.layers != "second":
            mean(share, self._kept_state["_D"], self._D)
            add(self._W0, self._D, self._W)
        self._find_moved_outputs()

    def weights_on_gpu(self) -> Any:
        with self.working():
            if self.layers != "second":
                add(self._W0, self._D, self._W)  # it may be that of a step that was undone
            weights = empty((self.m, self.X.shape[1]), self.dtype)
            scaled_transpose(self._W, upload(np.ones(self.width, self.dtype)), weights)
            return weights

    def write_weights(self, out: np.ndarray) -> None:
        if self.layers == "second":
            out[...] = self.net.W
            return
        with self.working():
            np.add(self.net.W, self._D.copy_to_host()[:, : self.m].T, out=out)
