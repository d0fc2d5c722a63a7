"""The interface of an engine, and what all engines share."""

import abc
import contextlib
from typing import Any

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import PackedMasks, padded_width
from fastntk.device.masks import DevicePackedMasks
from fastntk.engines.linearised import Linearised
from fastntk.engines.motion import PLAIN, Motion
from fastntk.engines.second_layer import SecondLayer
from fastntk.engines.tangent import TangentKernel
from fastntk.model.network import TwoLayerReLU
from fastntk.model.patterns import flip_fraction

# Ranges of tiles with a share of the drift each: fixed, since the order of float sums must be.
MAX_RANGES = 32


class Engine(abc.ABC):
    """State of gradient descent, plain or with momentum, on the chosen layers of a network and one set of samples.

    After construction and after each `step`, ``u`` holds the outputs (float64), ``masks`` the activation pattern,
    and ``initial_masks`` the pattern at the start.

    A Runge-Kutta step of gradient flow is provisional until it is judged: it begins with `keep`, consists of any
    `stage` and `blend`, and ends with `accept` or `undo`.
    """

    name: str
    second_layer: type = SecondLayer  # what keeps the weights of a second layer that moves
    tangent_kernel: type[TangentKernel] = TangentKernel  # what finds H(k) from the state
    linearised: type[Linearised] = Linearised  # what moves with the kernel of the start
    u: np.ndarray
    masks: PackedMasks | DevicePackedMasks
    initial_masks: PackedMasks | DevicePackedMasks
    _D: np.ndarray  # change of the first layer since the start, in the engine's own layout
    _kept: np.ndarray  # the same at the last `keep`
    _before: tuple[
        np.ndarray, PackedMasks | DevicePackedMasks, np.ndarray | None
    ]  # outputs, pattern, second layer then

    def __init__(self, X: np.ndarray, net: TwoLayerReLU, motion: Motion = PLAIN) -> None:
        self.X = X
        self.motion, self.layers = motion, motion.layers
        self._second: SecondLayer | None = None
        if motion.layers != "first":
            self._second = self.second_layer(net.a, motion.optimizer)
        *forward, look = motion.optimizer.coefficients()
        self._coefficients = np.array([*forward, -look], dtype=net.a.dtype)
        self.net = net
        self.n, self.m = len(X), net.width
        self.dtype = net.a.dtype
        self._scale = np.zeros(padded_width(self.m), dtype=self.dtype)

    @staticmethod
    @abc.abstractmethod
    def bytes_needed(
        n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN, shared: bool = False
    ) -> int:
        """Memory of the state, the given weights not counted; of two states for gradient flow.

        ``shared`` are samples that need no copy in the precision of the network.
        """

    def facts(self) -> dict[str, Any]:
        """How the engine worked, for the provenance of a run; JSON-able."""
        return {}

    def working(self) -> contextlib.AbstractContextManager[None]:
        """Around all work of a run: an engine that has memory elsewhere frees it after a failure."""
        return contextlib.nullcontext()

    @abc.abstractmethod
    def step(self, e: np.ndarray, lr: float) -> None:
        """Move by one step of size ``lr`` from the derivatives ``e`` of the loss by the outputs."""

    def keep(self) -> None:
        """Save the present state, which `undo` returns to and `blend` averages with."""
        np.copyto(self._kept, self._D[: len(self._kept)])
        self._before = (self.u, self.masks, None if self._second is None else self._second.change)

    def stage(self, e: np.ndarray, lr: float) -> None:
        """Move like `step`, provisionally."""
        self.step(e, lr)

    def blend(self, share: float) -> None:
        """Go to the weights ``share * kept + (1 - share) * present``."""
        *_, change = self._before
        if self._second is not None and change is not None:
            self._second.change = share * change + (1.0 - share) * self._second.change
        self._blend(share)

    @abc.abstractmethod
    def _blend(self, share: float) -> None:
        """The same for the first layer, then the outputs and the pattern of the network."""

    def accept(self, weights: tuple[float, ...]) -> None:  # noqa: B027 - not all engines keep a record of their steps
        """Make all since `keep` final, which in all was a step along the stages' gradients with these weights."""

    def undo(self) -> None:
        """Return to the state of the last `keep`."""
        if self.layers != "second":
            self._D, self._kept = self._kept, self._D
        self.u, self.masks, change = self._before
        if self._second is not None and change is not None:
            self._second.change = change

    @abc.abstractmethod
    def drifts(self) -> np.ndarray:
        """``|w_r - w_r(0)|_2`` now, (m,) float64."""

    def drift(self) -> float:
        """``max_r |w_r - w_r(0)|_2`` now."""
        return float(self.drifts().max())

    @abc.abstractmethod
    def write_weights(self, out: np.ndarray) -> None:
        """Write the present weights to ``out`` (m, d), which may be the array the run started from."""

    @property
    def a(self) -> np.ndarray:
        """The present weights of the second layer."""
        return self.net.a if self._second is None else self._second.a

    def drift_a(self) -> float:
        """``max_r |a_r - a_r(0)|`` now."""
        return 0.0 if self._second is None else self._second.drift()

    def flip_fraction(self) -> float:
        """Fraction of the entries of the pattern that differ from the start."""
        return flip_fraction(self.initial_masks, self.masks)

    def _state(self, shape: tuple[int, ...]) -> None:
        """Make room for the change of the first layer since the start, twice for gradient flow."""
        self._D = aligned_zeros(shape, self.dtype)
        twice = self.motion.flow and self.layers != "second"
        self._kept = aligned_zeros(shape if twice else (0, *shape[1:]), self.dtype)

    def _signed_step(self, lr: float, a: np.ndarray | None = None) -> np.ndarray:
        """``-(lr / sqrt(m)) a``, padded, of the present second layer if no other is given."""
        np.multiply(
            self.a if a is None else a, -lr / np.sqrt(self.m), out=self._scale[: self.m], casting="unsafe"
        )
        return self._scale
