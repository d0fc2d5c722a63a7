"""The norms behind the drift of a run with momentum, followed without weights."""

import numpy as np

from fastntk.optimizers import Optimizer


class MovingNorms:
    """``|x|^2``, ``x . v`` and ``|v|^2`` of each neuron: v its velocity, x the change of the point that v moves.

    The kernel leaves ``x . g`` and ``(2 beta v + g) . g`` in shares, g being the step of the gradient; the rest is

    |v'|^2 = beta^2 |v|^2 + (2 beta v + g) . g,   x . v' = beta x . v + x . g,   |x + v'|^2 = |x|^2 + 2 x . v' + |v'|^2.
    """

    def __init__(self, shape: tuple[int, ...], optimizer: Optimizer) -> None:
        self.base_shares, self.step_shares = np.zeros(shape), np.zeros(shape)
        self._beta, _, _, self._look = optimizer.coefficients()
        self._squares, self._products, self._velocities = np.zeros((3, shape[1]))

    def step(self) -> np.ndarray:
        """Take in the shares of a step; squared drift of the stored point, ``|x + look v|^2``."""
        beta, look = self._beta, self._look
        self._velocities = beta * beta * self._velocities + self.step_shares.sum(axis=0)
        mixed = beta * self._products + self.base_shares.sum(axis=0)
        self._squares = self._squares + 2.0 * mixed + self._velocities
        self._products = mixed + self._velocities
        return self._squares + 2.0 * look * self._products + look * look * self._velocities
