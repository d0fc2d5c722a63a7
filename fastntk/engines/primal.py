"""The primal engine: gradient descent on the weights, one BLAS forward product a step."""

import numpy as np

from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.base.packing import TILE, PackedMasks, byte_rows, padded_width, tiles_of
from fastntk.engines.interface import MAX_RANGES, Engine
from fastntk.engines.motion import PLAIN, Motion
from fastntk.kernels.cpu.primal_momentum import primal_momentum
from fastntk.kernels.cpu.primal_step import primal_step
from fastntk.kernels.scratch import (
    padded_vector,
    shared_rows,
    table_bytes,
    table_scratch,
    word_scratch,
    words_of,
)
from fastntk.model.forward import Forward
from fastntk.model.network import TwoLayerReLU


class PrimalEngine(Engine):
    """Keeps the change of W as (tiles of 16 columns, neurons, 16), beside the weights it started from."""

    name = "primal"
    masks: PackedMasks
    initial_masks: PackedMasks

    @staticmethod
    def bytes_needed(
        n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN, shared: bool = False
    ) -> int:
        """The change of W, its velocity if anything but plain descent of the first layer, patterns; scratch and X."""
        tiles, width, moves = tiles_of(d), padded_width(m), motion.layers != "second"
        parts = 1 if motion.plain else 2
        states = parts + (motion.flow and moves)
        patterns = (
            4 if motion.flow else 2
        )  # a step's own and the one it returns to, the present and the first one
        shares = 8 * min(tiles, MAX_RANGES) * width * (parts + motion.flow)
        shares += (2 * 8 + itemsize) * width  # drifts, what they are computed from, and the scale
        rest = TILE * tiles_of(n) * TILE * itemsize * (d % TILE > 0)
        product = Forward.bytes_needed(
            n, d, m, np.dtype(f"f{itemsize}"), outputs=True, moved=True, shared=shared
        )
        state = states * tiles * width * TILE * itemsize + patterns * byte_rows(n) * width + shares
        return state + rest + product + table_bytes(n, m, itemsize)

    def __init__(self, X: np.ndarray, net: TwoLayerReLU, motion: Motion = PLAIN) -> None:
        super().__init__(X, net, motion)
        (n, d), m, dtype = X.shape, self.m, self.dtype
        require_memory(
            self.bytes_needed(n, d, m, dtype.itemsize, motion, shared_rows(X, dtype)),
            f"the primal engine for n={n} samples, d={d} columns and m={m} neurons",
        )
        width = padded_width(m)
        self._state((tiles_of(d), width, TILE))
        self._tables, self._sums = table_scratch(m, dtype)
        self._words = word_scratch(n, m)
        self._product = Forward(X, m, dtype)
        self._rest = self._last_columns()
        self._drift_shares = np.zeros((min(tiles_of(d), MAX_RANGES), width))
        if not motion.plain:
            self._V = aligned_zeros(self._D.shape, dtype)
            self._product_shares = np.zeros(self._drift_shares.shape)
        self.masks = PackedMasks.empty(n, m)
        self._forward()
        self._product.require(self.u)
        self.initial_masks = self.masks.copy()

    def _last_columns(self) -> np.ndarray:
        """The columns of the samples beyond the last whole tile, as a tile (samples, 16); nothing if there are none."""
        X = self._product.samples
        whole = X.shape[1] // TILE * TILE
        rest = aligned_zeros((len(X) if whole < X.shape[1] else 0, TILE), self.dtype)
        rest[:, : X.shape[1] - whole] = X[: len(rest), whole:]
        return rest

    def _forward(self) -> None:
        self.u = self._product.moved(self.net.W, self._D, self.a, self.masks.bits)

    def step(self, e: np.ndarray, lr: float) -> None:
        padded = padded_vector(e, len(self._product.samples), self.dtype)
        words_of(self.masks.bits, self._words)
        if self.motion.plain:
            primal_step(
                self.m, self._words, self._product.samples, self._rest, padded, self._signed_step(lr), self._D,
                self._tables, self._sums, self._drift_shares,
            )  # fmt: skip
        else:
            self._general_step(padded, lr)
        self._forward()

    def _general_step(self, e: np.ndarray, lr: float) -> None:
        """Both layers from the same state, with momentum; a first layer that stays moves by zero."""
        weights = self.net.W if self._second is not None else self.net.W[:0]
        primal_momentum(
            self.m, self._words, self._product.samples, self._rest, e,
            self._signed_step(0.0 if self.layers == "second" else lr), self._coefficients, weights,
            self._D, self._V, self._tables, self._sums, self._drift_shares, self._product_shares,
        )  # fmt: skip
        if self._second is not None:
            self._second.step(self._product_shares.sum(axis=0)[: self.m], lr)

    def keep(self) -> None:
        super().keep()
        self.masks = self.masks.copy()  # the steps write to it, and to the shares
        self._kept_shares = self._drift_shares.copy()

    def undo(self) -> None:
        super().undo()
        self._drift_shares = self._kept_shares
        if not self.motion.plain:
            self._V.fill(0.0)  # an overflow must not outlive its step, nor one times zero
        if self.layers == "second":
            self._D.fill(0.0)

    def _blend(self, share: float) -> None:
        if self.layers != "second":
            for change, kept in zip(self._D, self._kept, strict=True):  # no temporary of the size of W
                change *= self.dtype.type(1.0 - share)
                change += self.dtype.type(share) * kept
        self._forward()

    def drifts(self) -> np.ndarray:
        return np.sqrt(self._drift_shares.sum(axis=0)[: self.m])

    def write_weights(self, out: np.ndarray) -> None:
        d = self.X.shape[1]
        for tile, change in enumerate(self._D):
            columns = slice(TILE * tile, min(TILE * (tile + 1), d))
            np.add(
                self.net.W[:, columns],
                change[: self.m, : columns.stop - columns.start],
                out=out[:, columns],
            )
