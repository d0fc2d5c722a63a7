"""The dual engine: gradient descent in the span of the data, on the pre-activations.

With ``K = X X^T`` the pre-activations move by ``-(lr / sqrt(m)) a_r K (M_r * e)``: no forward product after the first.
The weights are recovered at the end from the coefficients ``sum_k lr e_i(k) M_ir(k)`` of the samples in their
change; as patterns rarely change, these are ``M_ir S_i`` with a running sum S and a correction for flipped entries.
Where the second layer moves they are kept one by one.
"""

import numpy as np

from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.base.packing import TILE, PackedMasks, tiles_of
from fastntk.engines.coefficients import CoastingCoefficients
from fastntk.engines.interface import MAX_RANGES, PLAIN, Engine, Motion
from fastntk.engines.norms import MovingNorms
from fastntk.kernels.cpu.dual_flow import change_norms, dual_mean
from fastntk.kernels.cpu.dual_momentum import dual_momentum
from fastntk.kernels.cpu.dual_second import (
    add_coefficients,
    add_damped_coefficients,
    positive_products,
    tile_outputs,
)
from fastntk.kernels.cpu.dual_step import dual_step, tile_coefficients
from fastntk.kernels.cpu.flips import record_flips
from fastntk.kernels.cpu.forward import forward
from fastntk.kernels.scratch import ForwardScratch, column_tiles, padded_rows, padded_vector, table_scratch
from fastntk.matrices.inner_products import products
from fastntk.model.network import TwoLayerReLU

_WEIGHT_BLOCK = 1024  # neurons whose weights are recovered by one BLAS product


class DualEngine(Engine):
    """Keeps Z(0) and the change of Z, both (tiles of 16 samples, neurons, 16); with momentum a velocity too."""

    name = "dual"
    masks: PackedMasks
    initial_masks: PackedMasks

    @staticmethod
    def bytes_needed(n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN) -> int:
        """Z(0), its change, coefficients or corrections, both with velocities; K; three patterns; shares."""
        arrays = 2 if motion.layers == "second" else 5 if motion.momentum else 4 if motion.flow else 3
        shares = 1 if motion.plain else 3
        patterns = 7 if motion.flow else 3  # those of the stages are kept until their step is judged
        return (
            arrays * n * m * itemsize + n * n * itemsize + patterns * n * m // 8 + 8 * MAX_RANGES * m * shares
        )

    def __init__(self, X: np.ndarray, net: TwoLayerReLU, motion: Motion = PLAIN) -> None:
        super().__init__(X, net, motion)
        n, m, dtype = self.n, self.m, self.dtype
        require_memory(
            self.bytes_needed(n, X.shape[1], m, dtype.itemsize, motion),
            f"the dual engine for n={n} samples and m={m} neurons",
        )
        self.masks = PackedMasks.empty(n, m)
        tiles, width = tiles_of(n), self.masks.bits.shape[1]
        shape = (tiles, width, TILE)
        self._Z0 = aligned_zeros(shape, dtype)
        self._state(shape)
        scratch = ForwardScratch(n, m, dtype)
        forward(
            net.W, padded_rows(X, dtype), n, net.a, self.masks.bits,
            scratch.Z, scratch.octets, scratch.shares, scratch.u_shares, self._Z0,
        )  # fmt: skip
        self.u = scratch.outputs(n, m)
        self.initial_masks = self.masks
        self._next = PackedMasks.empty(n, m)
        if motion.layers != "second":
            self._K = column_tiles(products(X), dtype)
        self._total = np.zeros(TILE * tiles)
        self._tables, self._sums = table_scratch(m, dtype)
        self._u_shares = np.zeros((-(-m // self._sums.shape[1]), TILE * tiles))
        self._drift_shares = np.zeros((min(tiles, MAX_RANGES), width))
        self._squared_drift, self._norms_known = np.zeros(width), True
        self._moving = motion.momentum and motion.layers != "second"
        self._offsets = aligned_zeros(
            shape if motion.layers == "both" or not self._moving else (0, 0, TILE), dtype
        )
        if self._moving:
            self._V = aligned_zeros(shape, dtype)
            self._norms = MovingNorms(self._drift_shares.shape, motion.optimizer)
            if motion.layers == "first":
                self._coasting = CoastingCoefficients(shape, dtype, motion.optimizer)
            else:
                self._damped = aligned_zeros(shape, dtype)

    def step(self, e: np.ndarray, lr: float) -> None:
        before, a = self.masks, self.a
        self._move(e, lr, self._next)
        if self.layers == "second":
            return
        if self._moving:
            self._squared_drift = self._norms.step()
            if self._second is None:
                self._coasting.step(e, lr, before, self.masks)
        else:
            self._squared_drift += self._drift_shares.sum(axis=0)
            self._record(before, e, a, lr, self.masks)
        self._next = before if before is not self.initial_masks else PackedMasks.empty(self.n, self.m)

    def _move(self, e: np.ndarray, lr: float, after: PackedMasks) -> None:
        """Move pre-activations and second layer; the pattern before is left alone, the one after is given to fill."""
        padded = padded_vector(e, self._total.size, self.dtype)
        scale = self._signed_step(lr)
        if self._second is not None:
            self._move_second(padded, scale, lr)
            if self.layers == "second":
                return
        before = self.masks
        if self._moving:
            dual_momentum(
                self.n, self.m, before.bits, after.bits, self._K, padded, scale, self.a, self._coefficients,
                self._Z0, self._D, self._V, self._tables, self._sums, self._u_shares,
                self._norms.base_shares, self._norms.step_shares,
            )  # fmt: skip
        else:
            dual_step(
                self.n, self.m, before.bits, after.bits, self._K, padded, scale, self.a,
                self._Z0, self._D, self._tables, self._sums, self._u_shares, self._drift_shares,
            )  # fmt: skip
        self.masks = after
        self.u = self._outputs()

    def _move_second(self, e: np.ndarray, scale: np.ndarray, lr: float) -> None:
        """Move the second layer, and account for what a first one with momentum is about to do with the old one."""
        assert self._second is not None
        positive_products(self.m, e, self._Z0, self._D, self._drift_shares)
        self._second.step(self._drift_shares.sum(axis=0)[: self.m], lr)
        if self.layers == "second":
            self._second_outputs()
        elif self._moving:
            add_damped_coefficients(
                self.m, self.masks.bits, e, scale, self._coefficients, self._offsets, self._damped
            )

    def _second_outputs(self) -> None:
        """Outputs of fixed pre-activations."""
        tile_outputs(self.m, self.a, self._Z0, self._D, self._u_shares, self._sums)
        self.u = self._outputs()

    def _outputs(self) -> np.ndarray:
        """``u / sqrt(m)`` from the shares."""
        return self._u_shares.sum(axis=0)[: self.n] / np.sqrt(self.m)

    def _record(
        self, before: PackedMasks, e: np.ndarray, a: np.ndarray, lr: float, after: PackedMasks
    ) -> None:
        """Account for a plain step in the coefficients of the samples, its pattern being followed by another."""
        if self._second is None:
            self._total[: self.n] += lr * e
            record_flips(before.words, after.words, self._total, self._offsets)
        else:
            padded = padded_vector(e, self._total.size, self.dtype)
            add_coefficients(self.m, before.bits, padded, self._signed_step(lr, a), self._offsets)

    def keep(self) -> None:
        super().keep()
        self._stages: list[tuple[PackedMasks, np.ndarray, np.ndarray]] = []

    def stage(self, e: np.ndarray, lr: float) -> None:
        self._stages.append((self.masks, e, self.a))
        self._move(e, lr, PackedMasks.empty(self.n, self.m))  # all patterns stay until the step is judged

    def _blend(self, share: float) -> None:
        if self.layers == "second":
            self._second_outputs()
            return
        self.masks = PackedMasks.empty(self.n, self.m)
        parts = np.array([share, 1.0 - share], dtype=self.dtype)
        dual_mean(
            self.n, self.m, parts, self.a, self._Z0, self._kept, self._D, self.masks.bits,
            self._u_shares, self._sums,
        )  # fmt: skip
        self.u = self._outputs()

    def accept(self, weights: tuple[float, ...]) -> None:
        if self.layers == "second":
            return
        following = [*(masks for masks, _, _ in self._stages[1:]), self.masks]
        for (masks, e, a), weight, after in zip(self._stages, weights, following, strict=True):
            self._record(masks, e, a, weight, after)
        self._norms_known = False

    def drifts(self) -> np.ndarray:
        if not self._norms_known:
            self._measure_change()
        return np.sqrt(np.maximum(self._squared_drift[: self.m], 0.0))

    def _measure_change(self) -> None:
        """Squared drift from the coefficients of the samples: Runge-Kutta steps do not follow it."""
        change_norms(
            self.m,
            self.masks.bits,
            self._total.astype(self.dtype),
            self._offsets,
            self._D,
            self._drift_shares,
        )
        self._squared_drift = self._drift_shares.sum(axis=0)
        if self._second is None:
            self._squared_drift *= self._signed_step(1.0)
        self._norms_known = True

    def write_weights(self, out: np.ndarray) -> None:
        if self.layers == "second":
            out[...] = self.net.W
            return
        X = self.X.astype(self.dtype, copy=False)
        scale = self._signed_step(1.0)
        rows = np.empty((min(_WEIGHT_BLOCK, self.m), self.n), dtype=self.dtype)
        for first in range(0, self.m, _WEIGHT_BLOCK):
            last = min(first + _WEIGHT_BLOCK, self.m)
            some = rows[: last - first]
            self._write_coefficients(first, some)
            change = some @ X
            if self._second is None:
                change *= scale[first:last, np.newaxis]
            np.add(self.net.W[first:last], change, out=out[first:last])

    def _write_coefficients(self, first: int, out: np.ndarray) -> None:
        """Coefficients of the samples in the change of the neurons from ``first``, but for a factor of the neuron."""
        if self._second is None and self._moving:
            self._coasting.rows(self.masks, first, out)
        else:
            total = self._total.astype(self.dtype)
            tile_coefficients(self.n, self.masks.bits, total, self._offsets, first, len(out), out)
