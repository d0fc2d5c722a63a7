"""The interface of an engine, and what all engines share."""

import abc

import numpy as np

from fastntk.device_masks import DevicePackedMasks
from fastntk.engines.second_layer import SecondLayer
from fastntk.masks import flip_fraction
from fastntk.network import TwoLayerReLU
from fastntk.optimizers import GradientDescent, Optimizer
from fastntk.packing import PackedMasks, padded_width

# Ranges of tiles with a share of the drift each: fixed, since the order of float sums must be.
MAX_RANGES = 32


class Engine(abc.ABC):
    """State of gradient descent, plain or with momentum, on the chosen layers of a network and one set of samples.

    After construction and after each `step`, ``u`` holds the outputs (float64), ``masks`` the activation pattern,
    and ``initial_masks`` the pattern at the start.
    """

    name: str
    u: np.ndarray
    masks: PackedMasks | DevicePackedMasks
    initial_masks: PackedMasks | DevicePackedMasks

    def __init__(
        self,
        X: np.ndarray,
        net: TwoLayerReLU,
        layers: str = "first",
        optimizer: Optimizer = GradientDescent(),  # noqa: B008 - immutable
    ) -> None:
        self.X = X
        self.layers, self.optimizer = layers, optimizer
        self._second = SecondLayer(net.a, optimizer) if layers != "first" else None
        *forward, look = optimizer.coefficients()
        self._coefficients = np.array([*forward, -look], dtype=net.W.dtype)
        self.net = net
        self.n, self.m = len(X), net.width
        self.dtype = net.W.dtype
        self._scale = np.zeros(padded_width(self.m), dtype=self.dtype)

    @staticmethod
    @abc.abstractmethod
    def bytes_needed(
        n: int, d: int, m: int, itemsize: int, layers: str = "first", momentum: bool = False
    ) -> int:
        """Memory of the state, the given weights not counted."""

    @abc.abstractmethod
    def step(self, e: np.ndarray, lr: float) -> None:
        """Move by one step of size ``lr`` from the derivatives ``e`` of the loss by the outputs."""

    @abc.abstractmethod
    def drift(self) -> float:
        """``max_r |w_r - w_r(0)|_2`` now."""

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

    def _signed_step(self, lr: float) -> np.ndarray:
        """``-(lr / sqrt(m)) a``, padded."""
        np.multiply(self.a, -lr / np.sqrt(self.m), out=self._scale[: self.m], casting="unsafe")
        return self._scale
