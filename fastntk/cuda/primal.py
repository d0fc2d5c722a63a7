"""The primal engine on a GPU: the weights and their change stay there, as `fastntk.engines.primal` says."""

import numpy as np

from fastntk.cuda.engine import CudaEngine
from fastntk.cuda.forward import Forward, product_bytes
from fastntk.device_arrays import require_memory, upload, zeros
from fastntk.engines.interface import MAX_RANGES, PLAIN, Motion
from fastntk.kernels.cuda.plans import MaskedSums
from fastntk.kernels.cuda.primal_step import primal_step
from fastntk.kernels.cuda.reductions import column_sums
from fastntk.packing import padded_width


class CudaPrimalEngine(CudaEngine):
    """Keeps W(0), its change and W, all transposed: (columns, neurons)."""

    name = "cuda-primal"

    @staticmethod
    def bytes_needed(n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN) -> int:
        """W(0), its change, W; X; two patterns; sums; shares; a block of pre-activations."""
        width, dtype = padded_width(m), np.dtype(f"f{itemsize}")
        scratch = 8 * width * (MAX_RANGES + 2) + MaskedSums.bytes_needed(n, d, m, dtype)
        return (3 * d * width + n * d) * itemsize + 2 * n * width // 8 + scratch + product_bytes(n, m, dtype)

    def _start(self) -> None:
        (n, d), m, dtype, width = self.X.shape, self.m, self.dtype, self.width
        require_memory(
            self.bytes_needed(n, d, m, dtype.itemsize),
            f"the primal engine for n={n} samples, d={d} columns and m={m} neurons",
        )
        self._samples = upload(self.X.astype(dtype, copy=False))
        start = np.zeros((d, width), dtype=dtype)
        start[:, :m] = self.net.W.T
        self._W0, self._W, self._D = upload(start), upload(start), zeros((d, width), dtype)
        self._drifts = self._drift_shares(d)
        self._sums = MaskedSums(n, d, m, dtype)
        self._forward = Forward(n, m, dtype)
        self._find_outputs()
        self._initial_bits = self._bits
        self._bits = zeros(self._bits.shape, np.uint8)
        self._bits.copy_to_device(self._initial_bits)

    def _find_outputs(self) -> None:
        self._forward(self._samples, self._W, self._a, self._bits, self._u, transposed=True)

    def advance(self, lr: float) -> None:
        scale = self._scale_of(lr)
        for first, count, S in self._sums.blocks(self._bits.view(np.uint32), self._samples, self._e):
            primal_step(first, count, S, scale, self._W0, self._D, self._W, self._drifts)
        column_sums(self._drifts, 1.0, self._squares)
        self._find_outputs()

    def write_weights(self, out: np.ndarray) -> None:
        with self.working():
            np.add(self.net.W, self._D.copy_to_host()[:, : self.m].T, out=out)
