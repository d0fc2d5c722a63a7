"""The dual engine: gradient descent in the span of the data, on the pre-activations.

With ``K = X X^T`` the pre-activations move by ``-(lr / sqrt(m)) a_r K (M_r * e)``: no forward product after the first.
The weights are recovered at the end from the coefficients of the samples in their change.
"""

import numpy as np

from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.base.packing import TILE, PackedMasks, byte_rows, padded_width, tiles_of
from fastntk.engines.coefficients import Coefficients, coefficients_of
from fastntk.engines.interface import MAX_RANGES, Engine
from fastntk.engines.motion import PLAIN, Motion
from fastntk.engines.norms import MovingNorms
from fastntk.kernels.cpu.dual_flow import dual_mean
from fastntk.kernels.cpu.dual_momentum import dual_momentum
from fastntk.kernels.cpu.dual_second import positive_products, tile_outputs
from fastntk.kernels.cpu.dual_step import dual_step
from fastntk.kernels.scratch import (
    padded_vector,
    shared_rows,
    sum_blocks,
    table_bytes,
    table_scratch,
    word_scratch,
    words_of,
)
from fastntk.matrices.inner_products import product_tiles, products_bytes
from fastntk.model.forward import Forward
from fastntk.model.network import TwoLayerReLU

_WEIGHT_BLOCK = 1024  # neurons at most whose weights are recovered by one BLAS product
_WEIGHT_BYTES = 2**24  # of its operands and of its result


class DualEngine(Engine):
    """Keeps Z(0) and the change of Z, both (tiles of 16 samples, neurons, 16); with momentum a velocity too."""

    name = "dual"
    masks: PackedMasks
    initial_masks: PackedMasks

    @staticmethod
    def bytes_needed(
        n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN, shared: bool = False
    ) -> int:
        """The larger of what the first forward product, K and the weights take beside the state there is by then."""
        tiles, width = tiles_of(n), padded_width(m)
        array, pattern = tiles * width * TILE * itemsize, byte_rows(n) * width
        forward = Forward.bytes_needed(n, d, m, np.dtype(f"f{itemsize}"), outputs=True, shared=shared)
        scratch = table_bytes(n, m, itemsize) + 8 * sum_blocks(m, itemsize) * TILE * tiles
        share = 8 * min(tiles, MAX_RANGES) * width
        vectors = (3 * 8 + itemsize) * width  # squared drifts, what they are computed from, and the scale
        begun = array + pattern
        if motion.layers == "second":
            return begun + max(forward, scratch + share + vectors)
        K = (TILE * tiles) ** 2 * itemsize
        arrays = 2 + coefficients_of(motion).arrays + motion.momentum + motion.flow
        patterns = 7 if motion.flow else 3  # those of the stages are kept until their step is judged
        shares = 2 * motion.momentum + (motion.layers == "both" or not motion.momentum)
        state = arrays * array + K + patterns * pattern + shares * share + vectors + scratch
        block = DualEngine._weight_block(n, d, m, itemsize) * (n * (1 + motion.momentum) + d) * itemsize
        weights = block + (0 if shared else min(n * d * itemsize, _WEIGHT_BYTES))
        return max(begun + forward, begun + K + products_bytes(n, d), state + weights)

    @staticmethod
    def _weight_block(n: int, d: int, m: int, itemsize: int) -> int:
        """Neurons whose weights are recovered by one BLAS product."""
        return min(m, _WEIGHT_BLOCK, max(_WEIGHT_BYTES // ((n + d) * itemsize), 1))

    def __init__(self, X: np.ndarray, net: TwoLayerReLU, motion: Motion = PLAIN) -> None:
        super().__init__(X, net, motion)
        n, m, dtype = self.n, self.m, self.dtype
        require_memory(
            self.bytes_needed(n, X.shape[1], m, dtype.itemsize, motion, shared_rows(X, dtype)),
            f"the dual engine for n={n} samples and m={m} neurons",
        )
        self.masks = PackedMasks.empty(n, m)
        tiles, width = tiles_of(n), self.masks.bits.shape[1]
        shape = (tiles, width, TILE)
        self._Z0 = aligned_zeros(shape, dtype)
        self._state(shape)
        self.u = Forward(X, m, dtype).outputs(net.W, net.a, self.masks.bits, self._Z0)
        self.initial_masks = self.masks
        self._tables, self._sums = table_scratch(m, dtype)
        self._words = word_scratch(n, m)
        self._u_shares = np.zeros((sum_blocks(m, dtype.itemsize), TILE * tiles))
        self._drift_shares = np.zeros((min(tiles, MAX_RANGES), width))
        self._squared_drift, self._norms_known = np.zeros(width), True
        self._changes: Coefficients | None = None
        self._norms: MovingNorms | None = None
        if motion.layers != "second":
            self._next = PackedMasks.empty(n, m)
            self._K = product_tiles(X, dtype)
            self._changes = coefficients_of(motion)(shape, dtype, motion.optimizer)
            if motion.momentum:
                self._V = aligned_zeros(shape, dtype)
                self._norms = MovingNorms(self._drift_shares.shape, motion.optimizer)

    def step(self, e: np.ndarray, lr: float) -> None:
        before, scale = self.masks, self._signed_step(lr)
        if self._changes is None:
            self._move_second(e, lr)
            self._outputs_at_rest()
            return
        self._move(e, scale, lr, self._next)
        self._changes.add(e, lr, scale, before, self.masks)
        if self._norms is None:
            self._squared_drift += self._drift_shares.sum(axis=0)
        else:
            self._squared_drift = self._norms.step()
        self._next = before if before is not self.initial_masks else PackedMasks.empty(self.n, self.m)

    def _move(self, e: np.ndarray, scale: np.ndarray, lr: float, after: PackedMasks) -> None:
        """Move all layers; the pattern before is left alone, the one after is given to fill."""
        padded = padded_vector(e, self._u_shares.shape[1], self.dtype)
        words_of(self.masks.bits, self._words)
        if self._second is not None:
            self._move_second(e, lr)
        if self._norms is None:
            dual_step(
                self.n, self.m, self._words, after.bits, self._K, padded, scale, self.a,
                self._Z0, self._D, self._tables, self._sums, self._u_shares, self._drift_shares,
            )  # fmt: skip
        else:
            dual_momentum(
                self.n, self.m, self._words, after.bits, self._K, padded, scale, self.a, self._coefficients,
                self._Z0, self._D, self._V, self._tables, self._sums, self._u_shares,
                self._norms.base_shares, self._norms.step_shares,
            )  # fmt: skip
        self.masks = after
        self.u = self._outputs()

    def _move_second(self, e: np.ndarray, lr: float) -> None:
        """Move the second layer, from the pre-activations before the first one moves."""
        assert self._second is not None
        padded = padded_vector(e, self._u_shares.shape[1], self.dtype)
        positive_products(self.m, padded, self._Z0, self._D, self._drift_shares)
        self._second.step(self._drift_shares.sum(axis=0)[: self.m], lr)

    def _outputs_at_rest(self) -> None:
        """Outputs of fixed pre-activations."""
        tile_outputs(self.m, self.a, self._Z0, self._D, self._u_shares, self._sums)
        self.u = self._outputs()

    def _outputs(self) -> np.ndarray:
        """``u / sqrt(m)`` from the shares."""
        return self._u_shares.sum(axis=0)[: self.n] / np.sqrt(self.m)

    def keep(self) -> None:
        super().keep()
        self._stages: list[tuple[PackedMasks, np.ndarray, np.ndarray]] = []

    def stage(self, e: np.ndarray, lr: float) -> None:
        if self._changes is None:
            self.step(e, lr)
            return
        self._stages.append((self.masks, e, self.a))
        # All patterns stay until the step is judged.
        self._move(e, self._signed_step(lr), lr, PackedMasks.empty(self.n, self.m))

    def _blend(self, share: float) -> None:
        if self._changes is None:
            self._outputs_at_rest()
            return
        self.masks = PackedMasks.empty(self.n, self.m)
        parts = np.array([share, 1.0 - share], dtype=self.dtype)
        dual_mean(
            self.n, self.m, parts, self.a, self._Z0, self._kept, self._D, self.masks.bits,
            self._u_shares, self._sums,
        )  # fmt: skip
        self.u = self._outputs()

    def accept(self, weights: tuple[float, ...]) -> None:
        if self._changes is None:
            return
        following = [*(masks for masks, _, _ in self._stages[1:]), self.masks]
        for (masks, e, a), weight, after in zip(self._stages, weights, following, strict=True):
            self._changes.add(e, weight, self._signed_step(weight, a), masks, after)
        self._norms_known = False

    def drifts(self) -> np.ndarray:
        if not self._norms_known:
            self._measure_change()
        return np.sqrt(np.maximum(self._squared_drift[: self.m], 0.0))

    def _measure_change(self) -> None:
        """Squared drift from the coefficients of the samples: Runge-Kutta steps do not follow it."""
        assert self._changes is not None
        self._changes.norms(self.masks, self._D, self._drift_shares)
        self._squared_drift = self._drift_shares.sum(axis=0)
        if self._changes.scaled:
            self._squared_drift *= self._signed_step(1.0)
        self._norms_known = True

    def write_weights(self, out: np.ndarray) -> None:
        np.copyto(out, self.net.W)
        if self._changes is None:
            return
        (n, d), dtype = self.X.shape, self.dtype
        some = d if self.X.dtype == dtype else max(_WEIGHT_BYTES // (n * dtype.itemsize), 1)
        for left in range(0, d, some):
            columns = slice(left, left + some)
            self._add_change(self.X[:, columns].astype(dtype, copy=False), out[:, columns])

    def _add_change(self, X: np.ndarray, out: np.ndarray) -> None:
        """Add the change of some columns of the weights."""
        assert self._changes is not None
        block = self._weight_block(self.n, self.X.shape[1], self.m, self.dtype.itemsize)
        scale = self._signed_step(1.0)
        rows, changes = np.empty((block, self.n), self.dtype), np.empty((block, X.shape[1]), self.dtype)
        for first in range(0, self.m, block):
            last = min(first + block, self.m)
            some = rows[: last - first]
            self._changes.rows(self.masks, first, some)
            change = np.matmul(some, X, out=changes[: last - first])
            if self._changes.scaled:
                change *= scale[first:last, np.newaxis]
            out[first:last] += change
