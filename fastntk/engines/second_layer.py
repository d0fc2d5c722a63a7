"""The weights of the second layer while they move: one vector, kept apart from where it started."""

import numpy as np

from fastntk.optimizers import Optimizer


class SecondLayer:
    """``a = a(0) + change``, the change and its velocity in float64; ``a`` is rounded to the network's precision."""

    a: np.ndarray

    def __init__(self, a: np.ndarray, optimizer: Optimizer) -> None:
        self._initial = a
        self._optimizer = optimizer
        self.change = np.zeros(a.size)
        self._velocity = np.zeros(a.size)

    @property
    def change(self) -> np.ndarray:
        """What was added to the initial weights; not to be changed in place."""
        return self._change

    @change.setter
    def change(self, change: np.ndarray) -> None:
        self._change = change
        self.a = (self._initial + change).astype(self._initial.dtype)

    def step(self, products: np.ndarray, lr: float) -> None:
        """Move along ``-lr g`` with ``g_r = products_r / sqrt(m)``, ``products_r = sum_i e_i relu(z_ir)``."""
        gradient = products * (-lr / np.sqrt(self.a.size))
        beta, ahead, direct, _ = self._optimizer.coefficients()
        # Without momentum nothing is left of the velocity, not even of one that has overflowed.
        self._velocity = beta * self._velocity + gradient if beta else gradient
        self.change = self._change + (ahead * self._velocity + direct * gradient)

    def drift(self) -> float:
        """``max_r |a_r - a_r(0)|``."""
        return float(np.abs(self._change).max())
