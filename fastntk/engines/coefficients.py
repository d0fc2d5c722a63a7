"""Coefficients of the samples in the change of the weights, from which the dual engine gives weights and drifts back.

The change of neuron r is ``sum_i c_ir x_i``.  What has to be kept of a run to know c depends on what moves and how: a
class for each.
"""

import abc

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import PackedMasks
from fastntk.engines.motion import Motion
from fastntk.kernels.cpu.dual_flow import change_norms
from fastntk.kernels.cpu.dual_second import add_coefficients, add_damped_coefficients
from fastntk.kernels.cpu.dual_step import tile_coefficients
from fastntk.kernels.cpu.flips import record_flips
from fastntk.kernels.scratch import padded_vector
from fastntk.optimizers import Optimizer

_SMALLEST = 1e-12  # power of beta at which the stored velocities are scaled anew


class Coefficients(abc.ABC):
    """For samples in tiles of the given shape (tiles, neurons, 16)."""

    arrays: int
    """Arrays of that shape that are kept."""
    scaled: bool
    """Whether a factor of the neuron, ``-a_r / sqrt(m)``, is left out."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype, optimizer: Optimizer) -> None:
        self._dtype, self._optimizer = dtype, optimizer
        self._offsets = aligned_zeros(shape, dtype)
        self._total = np.zeros(shape[0] * shape[2])  # of each sample, where its neuron is active

    @abc.abstractmethod
    def add(
        self, e: np.ndarray, lr: float, scale: np.ndarray, before: PackedMasks, after: PackedMasks
    ) -> None:
        """Account for a step at derivatives ``e`` from one pattern to another; scale is ``-(lr / sqrt(m)) a``."""

    def rows(self, masks: PackedMasks, first: int, out: np.ndarray) -> None:
        """Write those of the neurons from ``first`` to ``out`` (neurons, n)."""
        total = self._total.astype(self._dtype)
        tile_coefficients(masks.shape[0], masks.bits, total, self._offsets, first, len(out), out)

    def norms(self, masks: PackedMasks, D: np.ndarray, shares: np.ndarray) -> None:
        """Shares (ranges, neurons) of the squared drift, if D is the change of the pre-activations."""
        change_norms(masks.shape[1], masks.bits, self._total.astype(self._dtype), self._offsets, D, shares)


class RunningCoefficients(Coefficients):
    """Of the first layer alone: ``M_ir S_i`` with a running sum S, and a correction for entries that have flipped."""

    arrays, scaled = 1, True

    def add(
        self, e: np.ndarray, lr: float, scale: np.ndarray, before: PackedMasks, after: PackedMasks
    ) -> None:
        self._total[: e.size] += lr * e
        record_flips(before.words, after.words, self._total, self._offsets)


class CoastingCoefficients(Coefficients):
    """Of the first layer alone with momentum.

    With ``beta``, ``b``, ``c`` as in `dual_momentum`, an entry whose neuron stays active follows

        v <- beta v + lr e,   s <- s + b v + c lr e

    like every other entry of its sample; one whose neuron is off follows the same without the terms in e.  So the
    coefficient of entry (i, r) is ``M_ir s_i + o_ir``, and the difference ``o``, with a velocity ``p`` of its own, only
    changes at flips and then coasts: ``p <- beta p``, ``o <- o + b p``.  What stays put while it coasts is stored:
    ``o + b beta / (1 - beta) p``, and p divided by the power of beta that has passed.
    """

    arrays, scaled = 2, True

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype, optimizer: Optimizer) -> None:
        super().__init__(shape, dtype, optimizer)
        self._velocities = aligned_zeros(shape, dtype)
        self._power = 1.0
        self._velocity = np.zeros(self._total.size)
        beta, ahead, _, _ = optimizer.coefficients()
        self._reach = ahead * beta / (1.0 - beta)  # how far a unit velocity coasts

    def add(
        self, e: np.ndarray, lr: float, scale: np.ndarray, before: PackedMasks, after: PackedMasks
    ) -> None:
        beta, ahead, direct, _ = self._optimizer.coefficients()
        self._velocity *= beta
        self._velocity[: e.size] += lr * e
        self._total += ahead * self._velocity
        self._total[: e.size] += direct * lr * e
        self._power *= beta
        if self._power < _SMALLEST:
            self._velocities *= self._dtype.type(self._power)
            self._power = 1.0
        limit = self._total + self._reach * self._velocity
        record_flips(before.words, after.words, limit, self._offsets)
        record_flips(before.words, after.words, self._velocity / self._power, self._velocities)

    def rows(self, masks: PackedMasks, first: int, out: np.ndarray) -> None:
        super().rows(masks, first, out)
        coasting, nothing = np.empty_like(out), np.zeros(self._total.size, self._dtype)
        tile_coefficients(masks.shape[0], masks.bits, nothing, self._velocities, first, len(out), coasting)
        coasting *= self._dtype.type(self._reach * self._power)
        out -= coasting


class SummedCoefficients(Coefficients):
    """Of both layers: one by one, each step scaled by the second layer of its time."""

    arrays, scaled = 1, False

    def add(
        self, e: np.ndarray, lr: float, scale: np.ndarray, before: PackedMasks, after: PackedMasks
    ) -> None:
        padded = padded_vector(e, self._total.size, self._dtype)
        add_coefficients(before.shape[1], before.bits, padded, scale, self._offsets)


class DampedCoefficients(Coefficients):
    """Of both layers with momentum: one by one, with a velocity each."""

    arrays, scaled = 2, False

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype, optimizer: Optimizer) -> None:
        super().__init__(shape, dtype, optimizer)
        self._velocities = aligned_zeros(shape, dtype)
        self._momentum = np.array(optimizer.coefficients(), dtype)

    def add(
        self, e: np.ndarray, lr: float, scale: np.ndarray, before: PackedMasks, after: PackedMasks
    ) -> None:
        padded = padded_vector(e, self._total.size, self._dtype)
        add_damped_coefficients(
            before.shape[1], before.bits, padded, scale, self._momentum, self._offsets, self._velocities
        )


def coefficients_of(motion: Motion) -> type[Coefficients]:
    """What a motion of the first layer, or of both, has to keep."""
    if motion.layers == "both":
        return DampedCoefficients if motion.momentum else SummedCoefficients
    return CoastingCoefficients if motion.momentum else RunningCoefficients
