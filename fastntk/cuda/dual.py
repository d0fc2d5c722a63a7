"""The dual engine on a GPU: pre-activations and their change stay there, as `fastntk.engines.dual` says."""

import numpy as np

from fastntk.cuda.engine import CudaEngine
from fastntk.cuda.operations import sample_products
from fastntk.cuda.rows import in_precision
from fastntk.device_arrays import empty, require_memory, upload, zeros
from fastntk.engines.interface import MAX_RANGES, PLAIN, Motion
from fastntk.kernels.cuda.dual_step import dual_step, sample_coefficients
from fastntk.kernels.cuda.flips import record_flips
from fastntk.kernels.cuda.forward import NEURONS, forward
from fastntk.kernels.cuda.losses import add_scaled
from fastntk.kernels.cuda.plans import MaskedSums, Products
from fastntk.kernels.cuda.reductions import add_shares
from fastntk.kernels.cuda.views import columns
from fastntk.packing import TILE, padded_width, tiles_of

_WEIGHT_BLOCK = 2**14  # neurons whose weights are recovered by one product


class CudaDualEngine(CudaEngine):
    """Keeps Z(0) and the change of Z as (samples, neurons), and corrections of the coefficients for flipped entries."""

    name = "cuda-dual"

    @staticmethod
    def bytes_needed(n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN) -> int:
        """Z(0), its change, corrections; K; three patterns; sums; shares; and what Z(0) and K are computed from."""
        width = padded_width(m)
        state = 3 * n * width * itemsize + 3 * n * width // 8
        shares = 8 * width * (MAX_RANGES + 2) + 8 * -(-m // NEURONS) * TILE * tiles_of(n)
        sums = MaskedSums.bytes_needed(n, n, m, np.dtype(f"f{itemsize}"))
        return state + shares + sums + n * n * (itemsize + 8) + (m * itemsize + n * (itemsize + 8)) * d

    def _start(self) -> None:
        (n, d), m, dtype, width = self.X.shape, self.m, self.dtype, self.width
        require_memory(
            self.bytes_needed(n, d, m, dtype.itemsize),
            f"the dual engine for n={n} samples and m={m} neurons",
        )
        samples = upload(self.X.astype(dtype, copy=False))
        self._K = in_precision(sample_products(upload(self.X)), dtype)
        self._Z0, self._D, self._offsets = (zeros((n, width), dtype) for _ in range(3))
        self._next = zeros(self._bits.shape, np.uint8)
        self._total = zeros(TILE * tiles_of(n), np.float64)
        self._drifts = self._drift_shares(n)
        self._sums = MaskedSums(n, n, m, dtype)
        Products().nt(samples, upload(self.net.W), self._Z0)
        forward(self._Z0, n, m, self._a, self._bits, self._u_shares)
        self._sum_outputs()
        self._initial_bits = self._bits

    def advance(self, lr: float) -> None:
        scale, before, after = self._scale_of(lr), self._bits, self._next
        for first, count, S in self._sums.blocks(before.view(np.uint32), self._K, self._e):
            dual_step(
                self.n, self.m, first, count, before, after, S, self._e, scale, self._a, self._Z0, self._D,
                self._u_shares, self._drifts,
            )  # fmt: skip
        self._sum_outputs()
        add_shares(self._drifts, self._squares)
        add_scaled(self._derivatives, lr, self._total)
        record_flips(before, after, self._total, self._offsets)
        self._next = before if before is not self._initial_bits else zeros(before.shape, np.uint8)
        self._bits = after

    def write_weights(self, out: np.ndarray) -> None:
        with self.working():
            self._write_weights(out)

    def _write_weights(self, out: np.ndarray) -> None:
        (n, d), dtype = self.X.shape, self.dtype
        transposed = upload(np.ascontiguousarray(self.X.T, dtype=dtype))
        scale, products = self._signed_step(1.0), Products()
        block = min(_WEIGHT_BLOCK, self.width)
        coefficients, change = zeros((n, block), dtype), empty((d, block), dtype)
        for first in range(0, self.m, block):
            last = min(first + block, self.m)
            sample_coefficients(
                n,
                last - first,
                columns(self._bits, first, last),
                self._total,
                columns(self._offsets, first, last),
                coefficients,
            )
            products.nn(transposed, coefficients, change)
            moved = change.copy_to_host()[:, : last - first].T * scale[first:last, np.newaxis]
            np.add(self.net.W[first:last], moved, out=out[first:last])
