"""What the engines on a GPU share: outputs, derivatives, patterns and metrics stay there.

Only plain gradient descent on the first layer: the other settings are refused by name.
"""

import abc
import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastntk.device_arrays import empty, guard, upload, zeros
from fastntk.device_masks import DevicePackedMasks
from fastntk.engines.interface import MAX_RANGES, PLAIN, Engine, Motion
from fastntk.kernels.cuda import losses
from fastntk.kernels.cuda.flips import flip_count
from fastntk.kernels.cuda.forward import NEURONS
from fastntk.kernels.cuda.reductions import column_sums, largest_root
from fastntk.losses import Loss
from fastntk.network import TwoLayerReLU
from fastntk.packing import TILE, byte_rows, padded_width, tiles_of


class CudaEngine(Engine):
    """An engine that can be driven from the host, like the others, or without any transfer by `cuda.training`."""

    on_gpu = True
    _initial_bits: Any
    _D: Any

    def __init__(self, X: np.ndarray, net: TwoLayerReLU, motion: Motion = PLAIN) -> None:
        if motion.flow:
            raise ValueError("dynamics must be 'descent' with engine='cuda', got 'flow'")
        if motion.layers != "first":
            raise ValueError(f"layers must be 'first' with engine='cuda', got {motion.layers!r}")
        if motion.momentum:
            raise ValueError(f"optimizer must be 'gd' with engine='cuda', got {motion.optimizer!r}")
        super().__init__(X, net, motion)
        with self.working():
            self._allocate()
            self._start()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Around work on the GPU: after a failure nothing is kept there."""
        with guard():
            try:
                yield
            except BaseException:
                vars(self).clear()
                raise

    def _allocate(self) -> None:
        """What both engines keep beside their state."""
        n, m, samples = self.n, self.m, TILE * tiles_of(self.n)
        self.width = padded_width(m)
        self._u, self._derivatives = empty(n, np.float64), zeros(n, np.float64)
        self._e = zeros(samples, self.dtype)
        self._a = upload(self.net.a)
        self._bits = zeros((byte_rows(n), self.width), np.uint8)
        self._u_shares = empty((-(-m // NEURONS), samples), np.float64)
        self._squares = zeros(self.width, np.float64)
        self._step_size, self._scale_there = 0.0, zeros(self.width, self.dtype)

    @abc.abstractmethod
    def _start(self) -> None:
        """Allocate the state and find outputs and pattern of the network as it is."""

    @abc.abstractmethod
    def advance(self, lr: float) -> None:
        """Move by one step from the derivatives on the device."""

    def _drift_shares(self, rows: int) -> Any:
        """Shares of the squared drift of so many rows of the state, samples or columns."""
        return zeros((min(tiles_of(rows), MAX_RANGES), self.width), np.float64)

    def _sum_outputs(self) -> None:
        column_sums(self._u_shares, 1.0 / math.sqrt(self.m), self._u)

    def _scale_of(self, lr: float) -> Any:
        """``-(lr / sqrt(m)) a`` on the device, sent there when the step size changes."""
        if lr != self._step_size:
            self._step_size, self._scale_there = lr, upload(self._signed_step(lr))
        return self._scale_there

    @property
    def u(self) -> np.ndarray:  # type: ignore[override]
        """The outputs, copied to the host."""
        return np.asarray(self._u.copy_to_host())

    @property
    def masks(self) -> DevicePackedMasks:  # type: ignore[override]
        """The pattern, which stays where it is."""
        return DevicePackedMasks(self._bits, (self.n, self.m), "numba")

    @property
    def initial_masks(self) -> DevicePackedMasks:  # type: ignore[override]
        """The pattern at the start."""
        return DevicePackedMasks(self._initial_bits, (self.n, self.m), "numba")

    def step(self, e: np.ndarray, lr: float) -> None:
        padded = np.zeros(self._e.size, dtype=self.dtype)
        padded[: self.n] = e
        with self.working():
            self._derivatives.copy_to_device(np.ascontiguousarray(e))
            self._e.copy_to_device(padded)
            self.advance(lr)

    def evaluate(self, objective: Loss, labels: Any, log: Any, k: int) -> None:
        """log[k] = the loss; its derivatives stay here for `advance`."""
        kind, delta = losses.KINDS[objective.name], getattr(objective, "delta", 0.0)
        losses.loss_terms(kind, delta, self._u, labels, self._derivatives, self._e, log, k)

    def log_flips(self, log: Any, k: int) -> None:
        """log[k] (int64) += number of entries of the pattern that differ from the start."""
        flip_count(self._initial_bits.view(np.uint32), self._bits.view(np.uint32), log, k)

    def log_drift(self, log: Any, k: int) -> None:
        """log[k] = the drift."""
        largest_root(self._squares, self.m, log, k)

    def drifts(self) -> np.ndarray:
        squares = self._squares.copy_to_host()[: self.m]
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)))

    def _blend(self, share: float) -> None:
        raise NotImplementedError("a flow, which alone blends states, is refused at the start")
