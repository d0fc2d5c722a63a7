"""Sizes of the steps of a gradient flow: control of the error, and the record of it.

With ``E`` a step of gradient descent of size h/2, one step of the flow from y to z is

    far = E(E(E(y))),   z = E((2 y + far) / 3),

the strong-stability-preserving method of order 3 of four stages: where gradient descent of step size h/2 lowers a
convex functional, so does this.  It is stable for ``h lambda_max < 5.15``.  ``(y + 2 far) / 3`` is a solution of
order 2, and z minus that the estimate of the error.  Its outputs are never computed: for smooth u they are those of
``(2 y + far) / 3`` plus ``(u(far) - u(y)) / 3``, up to the order of the estimate, and exactly if u is affine.

Sources: Kraaijevanger, BIT 31 (1991) 482; the pair: Gottlieb, Ketcheson and Shu, Strong Stability Preserving
Runge-Kutta and Multistep Time Discretizations (2011).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["EVALUATIONS", "Control", "Solution", "rounding_of", "step_error"]

METHOD = "SSP Runge-Kutta 3(2), four stages"
EVALUATIONS = 4  # gradients of a step
MOST_STEPS = 100_000  # accepted and rejected
_SAFETY, _LEAST, _MOST = 0.9, 0.2, 2.0  # of a step size over the one before
_SMALLEST = 1e-15  # step size, as a part of the time
_ROUNDINGS = 4.0  # of the outputs in working precision: errors below are not controlled


@dataclass
class Solution:
    """How the integration of a flow went.

    Attributes
    ----------
    accepted, rejected : int
        Steps.
    evaluations : int
        Gradients, four a step.
    error_estimate : float
        Sum over the accepted steps of the estimated errors of the outputs, ``|.|_2`` over the samples.  Errors in
        the outputs do not grow along the flow of a network whose kernel is constant.
    time : float
        What was reached.
    failure : str or None
        Why it ended before the last time.
    """

    tolerance: float
    method: str
    accepted: int = 0
    rejected: int = 0
    evaluations: int = 0
    error_estimate: float = 0.0
    time: float = 0.0
    failure: str | None = None

    @property
    def overflow(self) -> bool:
        """Whether the loss was no finite number before anything moved."""
        return self.failure is not None and self.evaluations == 0

    def record(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {"solver": asdict(self)}


class Control:
    """Chooses the size of each step from the errors of those before; ``found`` says how far they came.

    Parameters
    ----------
    times : sequence of float
        When the flow is logged, ascending from 0; the first step is the longest that ends by the second of them.
    tolerance : float
        Of the error of a step, over ``|e|_2``.
    rounding : float
        An error that is allowed whatever the tolerance.
    """

    def __init__(self, times: Sequence[float], tolerance: float, rounding: float) -> None:
        self.found = Solution(tolerance, METHOD)
        self.size, self._last, self._rounding = times[1], times[-1], rounding

    def copy(self) -> Control:
        """A copy, on which steps can be tried."""
        other = copy.copy(self)
        other.found = copy.copy(self.found)
        return other

    def propose(self, goal: float) -> tuple[float, float] | None:
        """Size of the next step and when it ends: equal ones up to the next logged time; None if it has failed."""
        found = self.found
        if self.left <= 0 or self.size <= self.smallest(goal):
            found.failure = (
                f"the step size fell to {self.size:.3g} after {found.accepted} accepted and {found.rejected} "
                f"rejected steps, at time {found.time:.6g} of {self._last:g}"
            )
            return None
        left = goal - found.time
        parts = math.ceil(left / self.size * (1.0 - 1e-9))
        step = left / parts
        return step, goal if parts == 1 else found.time + step

    @property
    def left(self) -> int:
        """Steps that may still be tried."""
        return MOST_STEPS - self.found.accepted - self.found.rejected

    def smallest(self, goal: float) -> float:
        """A step size so small that it does not move the time."""
        return _SMALLEST * max(self.found.time, 1e-99 * goal)

    def allowed(self, slope: float) -> float:
        """The largest error of a step from a state with that ``|e|_2``."""
        return self.found.tolerance * slope + self._rounding

    def judge(self, step: float, end: float, error: float, slope: float) -> bool:
        """Whether a step of that size, which ends then, is accepted."""
        found, allowed = self.found, self.allowed(slope)
        found.evaluations += EVALUATIONS
        factor = _factor(error, allowed)
        if not error <= allowed:
            found.rejected += 1
            self.size = step * factor
            return False
        found.accepted += 1
        found.error_estimate += error
        found.time = end
        self.size = max(self.size, step * factor) if factor == _MOST else step * factor
        return True


def _factor(error: float, allowed: float) -> float:
    """Change of the step size after that error; the smallest if it is no number."""
    if error == 0.0:
        return _MOST
    wanted = _SAFETY * (allowed / error) ** (1.0 / 3.0)
    return min(max(wanted, _LEAST), _MOST) if math.isfinite(wanted) else _LEAST


def step_error(start: np.ndarray, far: np.ndarray, middle: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The estimated error of the outputs, ``|.|_2``, from those of the states y, far, their mean and z, (..., n)."""
    return np.asarray(np.linalg.norm(end - middle - (far - start) / 3.0, axis=-1))


def rounding_of(X: np.ndarray, weights: float, a: np.ndarray) -> float:
    """Error of the outputs at any step size: some roundings, for independent weights of that ``|W|_F``."""
    one = float(np.finfo(a.dtype).eps) * float(np.linalg.norm(X)) * weights * float(np.linalg.norm(a))
    return _ROUNDINGS * one / (a.size * math.sqrt(2.0 * X.shape[1]))
