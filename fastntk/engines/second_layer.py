"""The weights of the second layer while they move: one vector, kept apart from where it started."""

import numpy as np

from fastntk.optimizers import Optimizer


class SecondLayer:
    """``a = a(0) + change``, the change and its velocity in float64; ``a`` is rounded to the network's precision."""

    def __init__(self, a: np.ndarray, optimizer: Optimizer) -> None:
        self.a = a
        self._initial = a
        self._optimizer = optimizer
        self._change = np.zeros(a.size)
        self._velocity = np.zeros(a.size)

    def step(self, products: np.ndarray, lr: float) -> None:
        """Move along ``-lr g`` with ``g_r = products_r / sqrt(m)``, ``products_r = sum_i e_i relu(z_ir)``."""
        gradient = products * (-lr / np.sqrt(self.a.size))
        beta, ahead, direct, _ = self._optimizer.coefficients()
        self._velocity *= beta
        self._velocity += gradient
        self._change += ahead * self._velocity + direct * gradient
        self.a = (self._initial + self._change).astype(self._initial.dtype)

    def drift(self) -> float:
        """``max_r |a_r - a_r(0)|``."""
        return float(np.abs(self._change).max())
