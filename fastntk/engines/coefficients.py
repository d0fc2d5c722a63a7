"""Coefficients of the samples in the change of the weights along a run with momentum, from which weights come back.

With ``beta``, ``b``, ``c`` as in `dual_momentum`, an entry whose neuron stays active follows

    v <- beta v + lr e,   s <- s + b v + c lr e

like every other entry of its sample; one whose neuron is off follows the same without the terms in e.  So the
coefficient of entry (i, r) is ``M_ir s_i + o_ir``, and the difference ``o``, with a velocity ``p`` of its own, only
changes at flips and then coasts: ``p <- beta p``, ``o <- o + b p``.  What stays put while it coasts is stored:
``o + b beta / (1 - beta) p``, and p divided by the power of beta that has passed.
"""

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import PackedMasks
from fastntk.kernels.cpu.dual_step import tile_coefficients
from fastntk.kernels.cpu.flips import record_flips
from fastntk.optimizers import Optimizer

_SMALLEST = 1e-12  # power of beta at which the stored velocities are scaled anew


class CoastingCoefficients:
    """The coefficients ``M_ir s_i + o_ir`` for samples in tiles of the given shape (tiles, neurons, 16)."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._limits = aligned_zeros(shape, dtype)
        self._velocities = aligned_zeros(shape, dtype)
        self._power = 1.0
        samples = shape[0] * shape[2]
        self._total, self._velocity = np.zeros(samples), np.zeros(samples)
        beta, ahead, _, _ = optimizer.coefficients()
        self._reach = ahead * beta / (1.0 - beta)  # how far a unit velocity coasts

    def step(self, e: np.ndarray, lr: float, before: PackedMasks, after: PackedMasks) -> None:
        """Account for a step at derivatives ``e`` that changed the pattern."""
        beta, ahead, direct, _ = self._optimizer.coefficients()
        self._velocity *= beta
        self._velocity[: e.size] += lr * e
        self._total += ahead * self._velocity
        self._total[: e.size] += direct * lr * e
        self._power *= beta
        if self._power < _SMALLEST:
            self._velocities *= self._velocities.dtype.type(self._power)
            self._power = 1.0
        limit = self._total + self._reach * self._velocity
        record_flips(before.words, after.words, limit, self._limits)
        record_flips(before.words, after.words, self._velocity / self._power, self._velocities)

    def rows(self, masks: PackedMasks, first: int, out: np.ndarray) -> None:
        """Write the coefficients of the neurons from ``first`` to ``out`` (neurons, n)."""
        n = masks.shape[0]
        total = self._total.astype(out.dtype)
        tile_coefficients(n, masks.bits, total, self._limits, first, len(out), out)
        coasting = np.empty_like(out)
        tile_coefficients(n, masks.bits, np.zeros_like(total), self._velocities, first, len(out), coasting)
        coasting *= out.dtype.type(self._reach * self._power)
        out -= coasting
