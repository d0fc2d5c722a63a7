"""The interface of an engine, and what all engines share."""

import abc

import numpy as np

from fastntk.masks import flip_fraction
from fastntk.network import TwoLayerReLU
from fastntk.packing import PackedMasks, padded_width

# Ranges of tiles with a share of the drift each: fixed, since the order of float sums must be.
MAX_RANGES = 32


class Engine(abc.ABC):
    """State of first-layer gradient descent on one network and one set of samples.

    After construction and after each `step`, ``u`` holds the outputs (float64), ``masks`` the activation pattern,
    and ``initial_masks`` the pattern at the start.
    """

    name: str
    u: np.ndarray
    masks: PackedMasks
    initial_masks: PackedMasks

    def __init__(self, X: np.ndarray, net: TwoLayerReLU) -> None:
        self.X = X
        self.net = net
        self.n, self.m = len(X), net.width
        self.dtype = net.W.dtype
        self._scale = np.zeros(padded_width(self.m), dtype=self.dtype)

    @staticmethod
    @abc.abstractmethod
    def bytes_needed(n: int, d: int, m: int, itemsize: int) -> int:
        """Memory of the state, the given weights not counted."""

    @abc.abstractmethod
    def step(self, e: np.ndarray, lr: float) -> None:
        """Move by one step of size ``lr`` along the negative gradient at residual ``e = u - y``."""

    @abc.abstractmethod
    def drift(self) -> float:
        """``max_r |w_r - w_r(0)|_2`` now."""

    @abc.abstractmethod
    def write_weights(self, out: np.ndarray) -> None:
        """Write the present weights to ``out`` (m, d), which may be the array the run started from."""

    def flip_fraction(self) -> float:
        """Fraction of the entries of the pattern that differ from the start."""
        return flip_fraction(self.initial_masks, self.masks)

    def _signed_step(self, lr: float) -> np.ndarray:
        """``-(lr / sqrt(m)) a``, padded."""
        np.multiply(self.net.a, -lr / np.sqrt(self.m), out=self._scale[: self.m], casting="unsafe")
        return self._scale
