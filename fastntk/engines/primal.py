"""The primal engine: gradient descent on the weights, one BLAS forward product a step."""

import numpy as np

from fastntk.engines.interface import MAX_RANGES, Engine
from fastntk.kernels.cpu.forward import forward_moved
from fastntk.kernels.cpu.primal_step import primal_step
from fastntk.layout import (
    ForwardScratch,
    column_tiles,
    padded_rows,
    padded_vector,
    table_scratch,
    thread_slots,
)
from fastntk.memory import aligned_zeros, require_memory
from fastntk.network import TwoLayerReLU
from fastntk.packing import TILE, PackedMasks, padded_width, tiles_of


class PrimalEngine(Engine):
    """Keeps the change of W as (tiles of 16 columns, neurons, 16), beside the weights it started from."""

    name = "primal"

    @staticmethod
    def bytes_needed(n: int, d: int, m: int, itemsize: int) -> int:
        """The change of W, two patterns, shares of the drift."""
        return d * m * itemsize + 2 * n * m // 8 + 8 * MAX_RANGES * m

    def __init__(self, X: np.ndarray, net: TwoLayerReLU) -> None:
        super().__init__(X, net)
        (n, d), m, dtype = X.shape, self.m, self.dtype
        require_memory(
            self.bytes_needed(n, d, m, dtype.itemsize),
            f"the primal engine for n={n} samples, d={d} columns and m={m} neurons",
        )
        width = padded_width(m)
        self._D = aligned_zeros((tiles_of(d), width, TILE), dtype)
        self._X = padded_rows(X, dtype)
        self._X_tiles = column_tiles(X, dtype)
        self._tables, self._sums = table_scratch(m, dtype)
        self._scratch = ForwardScratch(n, m, dtype)
        self._rows = aligned_zeros((thread_slots(), self._scratch.rows, d), dtype)
        self._drift_shares = np.zeros((min(tiles_of(d), MAX_RANGES), width))
        self.masks = PackedMasks.empty(n, m)
        self._forward()
        self.initial_masks = self.masks.copy()

    def _forward(self) -> None:
        scratch = self._scratch
        forward_moved(
            self.net.W, self._D, self._X, self.n, self.net.a, self.masks.bits,
            self._rows, scratch.Z, scratch.octets, scratch.shares, scratch.u_shares,
        )  # fmt: skip
        self.u = scratch.outputs(self.n, self.m)

    def step(self, e: np.ndarray, lr: float) -> None:
        padded = padded_vector(e, len(self._X), self.dtype)
        primal_step(
            self.m, self.masks.bits, self._X_tiles, padded, self._signed_step(lr), self._D,
            self._tables, self._sums, self._drift_shares,
        )  # fmt: skip
        self._forward()

    def drift(self) -> float:
        return float(np.sqrt(self._drift_shares.sum(axis=0).max()))

    def write_weights(self, out: np.ndarray) -> None:
        d = self.X.shape[1]
        for tile, change in enumerate(self._D):
            columns = slice(TILE * tile, min(TILE * (tile + 1), d))
            np.add(
                self.net.W[:, columns],
                change[: self.m, : columns.stop - columns.start],
                out=out[:, columns],
            )
