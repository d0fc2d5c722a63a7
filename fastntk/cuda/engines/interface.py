"""What the engines on a GPU share: outputs, derivatives, patterns and metrics stay there."""

import abc
import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastntk.base.packing import TILE, byte_rows, padded_width, tiles_of
from fastntk.cuda.engines.second_layer import GpuSecondLayer
from fastntk.cuda.linearised import GpuLinearised
from fastntk.cuda.tangent import GpuTangentKernel
from fastntk.device.arrays import empty, upload, zeros
from fastntk.device.dispatch import DeviceArray
from fastntk.device.driver import guard, require_memory
from fastntk.device.masks import DevicePackedMasks
from fastntk.engines.interface import MAX_RANGES, Engine
from fastntk.engines.motion import PLAIN, Motion
from fastntk.kernels.cuda import losses
from fastntk.kernels.cuda.flips import flip_count
from fastntk.kernels.cuda.forward import NEURONS
from fastntk.kernels.cuda.reductions import column_sums, largest_root
from fastntk.kernels.cuda.second_layer import signed_step
from fastntk.kernels.cuda.stage_error import stage_error
from fastntk.losses import LOSSES, Loss
from fastntk.model.network import TwoLayerReLU


class CudaEngine(Engine):
    """An engine that can be driven from the host, like the others, or without any transfer by the loops beside it.

    Patterns are never copied: a step writes to one that is not in use.  What a flow may return to is kept by name.
    """

    second_layer = GpuSecondLayer
    tangent_kernel = GpuTangentKernel
    linearised = GpuLinearised
    written_patterns: int  # that a step needs, beside the initial one
    _second: GpuSecondLayer | None  # type: ignore[assignment]
    _D: Any
    _squares: Any
    _bits: DeviceArray
    _initial_bits: DeviceArray
    _kept_bits: DeviceArray | None

    @staticmethod
    @abc.abstractmethod
    def bytes_needed(
        n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN, shared: bool = False
    ) -> int:
        """As for every engine; shared: the samples have the precision of the network."""

    def __init__(self, X: np.ndarray, net: TwoLayerReLU, motion: Motion = PLAIN) -> None:
        (n, d), m, kind = X.shape, net.width, self.name.removeprefix("cuda-")
        with self.working():
            require_memory(
                self.bytes_needed(n, d, m, net.W.dtype.itemsize, motion, X.dtype == net.W.dtype),
                f"the {kind} engine for n={n} samples, d={d} columns and m={m} neurons",
            )
            super().__init__(X, net, motion)
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

    @classmethod
    def _patterns_of(cls, motion: Motion) -> int:
        """Patterns in memory."""
        return 1 if motion.layers == "second" else 1 + cls.written_patterns + motion.flow

    @classmethod
    def _shared_bytes(cls, n: int, rows: int, m: int, itemsize: int, motion: Motion) -> int:
        """Memory of what both engines keep beside their state, of so many rows."""
        width = padded_width(m)
        second = 0 if motion.layers == "first" else GpuSecondLayer.bytes_needed(m, itemsize)
        vectors = (
            (8 + itemsize) * width + (m if motion.layers == "first" else 0) * itemsize + (16 + itemsize) * n
        )
        shares = 8 * width * cls._ranges(rows) + 8 * -(-m // NEURONS) * TILE * tiles_of(n) + vectors
        return cls._patterns_of(motion) * byte_rows(n) * width + shares + second

    def _allocate(self) -> None:
        """What both engines keep beside their state."""
        n, m, samples = self.n, self.m, TILE * tiles_of(self.n)
        self.width = padded_width(m)
        self._u, self._derivatives = empty(n, np.float64), zeros(n, np.float64)
        self._e = zeros(samples, self.dtype)
        self._a = upload(self.net.a) if self._second is None else None
        self._patterns = [
            zeros((byte_rows(n), self.width), np.uint8) for _ in range(self._patterns_of(self.motion))
        ]
        self._bits = self._initial_bits = self._patterns[0]
        self._kept_bits = None
        self._kept_state: dict[str, Any] = {}
        self._u_shares = empty((-(-m // NEURONS), samples), np.float64)
        self._squares = zeros(self.width, np.float64)
        self._step_size, self._scale_on_gpu = 0.0, zeros(self.width, self.dtype)
        self._momentum = self.motion.optimizer.coefficients()[:3]

    @abc.abstractmethod
    def _start(self) -> None:
        """Allocate the state and find outputs and pattern of the network as it is."""

    @abc.abstractmethod
    def advance(self, lr: float) -> None:
        """Move by one step from the derivatives on the device."""

    @abc.abstractmethod
    def weights_on_gpu(self) -> Any:
        """The present weights (m, d), as a new array on the device."""

    def a_on_gpu(self) -> Any:
        """The present weights of the second layer, on the device."""
        return self._a if self._second is None else self._second.a_on_gpu

    def _drift_shares(self, rows: int) -> Any:
        """Shares of the squared drift of so many rows of the state, samples or columns."""
        return zeros((self._ranges(rows), self.width), np.float64)

    @staticmethod
    def _ranges(rows: int) -> int:
        """Shares of a sum over the rows of a state."""
        return min(tiles_of(rows), MAX_RANGES)

    def _spare_bits(self) -> Any:
        """A pattern to write to."""
        used = self._initial_bits, self._bits, self._kept_bits
        return next(bits for bits in self._patterns if not any(bits is other for other in used))

    def _sum_outputs(self) -> None:
        column_sums(self._u_shares, 1.0 / math.sqrt(self.m), self._u)

    def _scale_of(self, lr: float) -> Any:
        """``-(lr / sqrt(m)) a`` on the device, computed when one of them has changed."""
        if self._second is not None or lr != self._step_size:
            signed_step(self.a_on_gpu(), -lr / math.sqrt(self.m), self._scale_on_gpu)
            self._step_size = lr
        return self._scale_on_gpu

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

    def _keep_room(self, *names: str) -> None:
        """Room for a second state of a flow: these arrays of the first."""
        if self.motion.flow:
            arrays = {name: vars(self)[name] for name in names}
            self._kept_state = {
                name: empty(tuple(array.shape), array.dtype) for name, array in arrays.items()
            }

    def keep(self) -> None:
        for name, kept in self._kept_state.items():
            kept.copy_to_device(vars(self)[name])
        self._kept_bits = self._bits
        if self._second is not None:
            self._second.keep()

    def blend(self, share: float) -> None:
        if self._second is not None:
            self._second.blend(share)
        self._blend(share)

    def undo(self) -> None:
        for name, kept in self._kept_state.items():
            self._kept_state[name], vars(self)[name] = vars(self)[name], kept
        assert self._kept_bits is not None  # by `keep`
        self._bits = self._kept_bits
        if self._second is not None:
            self._second.undo()

    @staticmethod
    def evaluates(objective: Loss) -> bool:
        """Whether `evaluate` knows that loss: a loss of your own is evaluated on the host."""
        return type(objective) in LOSSES.values()

    def evaluate(self, objective: Loss, labels: Any, log: Any, k: int) -> None:
        """log[k] = the loss; its derivatives stay here for `advance`."""
        kind, delta = losses.KINDS[objective.name], getattr(objective, "delta", 0.0)
        losses.loss_terms(kind, delta, self._u, labels, self._derivatives, self._e, log, k)

    def copy_outputs(self, u: Any) -> None:
        """U (n,) float64 on the device = the outputs."""
        u.copy_to_device(self._u)

    def log_error(self, start: Any, far: Any, middle: Any, log: Any) -> None:
        """log[:2] = the estimated error of a Runge-Kutta step with these outputs of its stages, and ``|e|_2``."""
        stage_error(start, far, middle, self._u, self._derivatives, log)

    def log_flips(self, log: Any, k: int) -> None:
        """log[k] (int64) += number of entries of the pattern that differ from the start."""
        flip_count(self._initial_bits.view(np.uint32), self._bits.view(np.uint32), log, k)

    def log_drift(self, log: Any, k: int) -> None:
        """log[k] = the drift."""
        self._measure_change()
        largest_root(self._squares, self.m, log, k)

    def log_drift_a(self, log: Any, k: int) -> None:
        """log[k] = the drift of the second layer, which moves."""
        assert self._second is not None
        self._second.log_drift(log, k)

    def drifts(self) -> np.ndarray:
        self._measure_change()
        squares = self._squares.copy_to_host()[: self.m]
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)))

    def _measure_change(self) -> None:
        """Bring the squared drift up to date, where the steps do not."""
