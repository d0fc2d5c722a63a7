"""Gradient flow ``dw/dt = -dL/dw``: steps of gradient descent combined to a Runge-Kutta method with error control.

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

import importlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.engines import Engine
from fastntk.losses import LOSSES, Loss

__all__ = ["Schedule", "Solution", "Stages", "integrate", "scheduled"]

TOLERANCE = 1e-3
METHOD = "SSP Runge-Kutta 3(2), four stages"
MOST_STEPS = 100_000  # accepted and rejected
_INTERVALS = 100
_DESCENT = {
    "steps": 100,
    "lr": 0.1,
    "optimizer": "gd",
    "batch_size": None,
    "every": 1,
    "snapshots": [],
}  # the defaults of `train`
_WEIGHTS = (1 / 6, 1 / 6, 1 / 6, 1 / 2)  # of the gradients of the stages in a step
_SAFETY, _LEAST, _MOST = 0.9, 0.2, 2.0  # of a step size over the one before
_SMALLEST = 1e-15  # step size, as a part of the time
_ROUNDINGS = 4.0  # of the outputs in working precision: errors below are not controlled


@dataclass(frozen=True)
class Schedule:
    """Times at which a flow is logged, from 0 to its end, and the error allowed in a step."""

    times: npt.NDArray[np.float64]
    tolerance: float

    @property
    def end(self) -> float:
        """The last of the times."""
        return float(self.times[-1])

    def record(self) -> dict[str, Any]:
        """The arguments of `train` that ask for it, JSON-able."""
        return {
            "dynamics": "flow", "t_final": self.end, "times": self.times.tolist(), "tolerance": self.tolerance
        }  # fmt: skip


@dataclass
class Solution:
    """How the integration went.

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
    method: str = METHOD
    accepted: int = 0
    rejected: int = 0
    evaluations: int = 0
    error_estimate: float = 0.0
    time: float = 0.0
    failure: str | None = None

    def record(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return asdict(self)


def scheduled(
    dynamics: str, t_final: float | None, times: npt.ArrayLike | None, tolerance: float, **descent: Any
) -> Schedule | None:
    """The checked arguments of a flow, or None for descent; those of the other one must have been left alone."""
    checks.choice(dynamics, "dynamics", ("descent", "flow"))
    tolerance = checks.positive(tolerance, "tolerance")
    if dynamics == "descent":
        for name, given in (
            ("t_final", t_final is not None), ("times", times is not None), ("tolerance", tolerance != TOLERANCE)
        ):  # fmt: skip
            if given:
                raise ValueError(f"{name} is for dynamics='flow', got it with dynamics='descent'")
        return None
    for name, value in descent.items():
        if value != _DESCENT[name]:
            raise ValueError(f"{name} is for dynamics='descent', got {value!r} with dynamics='flow'")
    if t_final is None:
        raise ValueError("t_final must be given for dynamics='flow'")
    end = checks.positive(t_final, "t_final")
    if times is None:
        return Schedule(np.linspace(0.0, end, _INTERVALS + 1), tolerance)
    found = checks.array(times, "times", 1, np.float64)
    if found[0] < 0.0 or found[-1] > end or (np.diff(found) < 0.0).any():
        raise ValueError(f"times must be ascending from 0 or above to at most t_final = {end:g}")
    return Schedule(np.union1d(found, [0.0, end]), tolerance)


class Stages:
    """Runge-Kutta steps of an engine, each of which is attempted and then accepted or undone."""

    def __init__(self, moving: Engine, labels: np.ndarray, objective: Loss) -> None:
        self._moving, self._labels, self._objective = moving, labels, objective

    def measure(self) -> tuple[float, float]:
        """The loss and ``|e|_2`` at the present state."""
        loss, self._e = self._evaluate()
        return loss, float(np.linalg.norm(self._e))

    def attempt(self, size: float) -> float:
        """Take one step, provisionally; the estimated error of the outputs."""
        moving, e = self._moving, self._e
        moving.keep()
        start = moving.u
        for _ in range(3):
            moving.stage(e, size / 2.0)
            e = self._evaluate()[1]
        far = moving.u
        moving.blend(2.0 / 3.0)
        middle = moving.u
        moving.stage(self._evaluate()[1], size / 2.0)
        return float(np.linalg.norm(moving.u - middle - (far - start) / 3.0))

    def accept(self, size: float) -> tuple[float, float]:
        """Make the step final; the loss and ``|e|_2`` there."""
        self._moving.accept(tuple(size * weight for weight in _WEIGHTS))
        return self.measure()

    def undo(self) -> None:
        """Return to the state before the step."""
        self._moving.undo()

    def _evaluate(self) -> tuple[float, np.ndarray]:
        return self._objective.evaluate(self._moving.u, self._labels)


def integrate(
    moving: Engine,
    labels: np.ndarray,
    objective: Loss,
    schedule: Schedule,
    log: Callable[[int, float], object],
    report: Callable[[int], object],
) -> Solution:
    """Follow the flow through all times; ``log`` is called with the accepted steps and the loss at each of them."""
    kind: Callable[..., Any] = Stages
    if moving.on_gpu and type(objective) in LOSSES.values():
        kind = importlib.import_module("fastntk.cuda.engines.flow").Stages
    rounding = _ROUNDINGS * _rounding(moving)
    # What overflows shows in the error of a step.
    with moving.working(), np.errstate(over="ignore", invalid="ignore"):
        return _integrate(kind(moving, labels, objective), rounding, schedule, log, report)


def _integrate(
    stages: Stages,
    rounding: float,
    schedule: Schedule,
    log: Callable[[int, float], object],
    report: Callable[[int], object],
) -> Solution:
    found = Solution(schedule.tolerance)
    size = float(schedule.times[1])
    loss, slope = stages.measure()
    log(0, loss)
    if not math.isfinite(loss):
        found.failure = f"the loss is {loss:g} at time 0"
        return found
    for index, goal in enumerate(schedule.times[1:], 1):
        while found.time < goal:
            if found.accepted + found.rejected == MOST_STEPS or size <= _SMALLEST * max(
                found.time, 1e-99 * goal
            ):
                found.failure = (
                    f"the step size fell to {size:.3g} after {found.accepted} accepted and {found.rejected} "
                    f"rejected steps, at time {found.time:.6g} of {schedule.end:g}"
                )
                return found
            left = goal - found.time
            parts = math.ceil(left / size * (1.0 - 1e-9))  # equal steps up to the next time
            step = left / parts
            error = stages.attempt(step)
            found.evaluations += len(_WEIGHTS)
            allowed = schedule.tolerance * slope + rounding
            factor = _factor(error, allowed)
            if error <= allowed:
                loss, slope = stages.accept(step)
                found.accepted += 1
                found.error_estimate += error
                found.time = float(goal) if parts == 1 else found.time + step
                size = max(size, step * factor) if factor == _MOST else step * factor
            else:
                stages.undo()
                found.rejected += 1
                size = step * factor
        log(found.accepted, loss)
        report(index)
    return found


def _factor(error: float, allowed: float) -> float:
    """Change of the step size after that error; the smallest if it is no number."""
    if error == 0.0:
        return _MOST
    wanted = _SAFETY * (allowed / error) ** (1.0 / 3.0)
    return min(max(wanted, _LEAST), _MOST) if math.isfinite(wanted) else _LEAST


def _rounding(moving: Engine) -> float:
    """Size of one rounding of all outputs: working precision times the typical ``|u|_2`` of independent weights."""
    W, a = moving.net.W, moving.net.a
    lengths = [float(np.linalg.norm(array)) for array in (moving.X, W, a)]
    return float(np.finfo(moving.dtype).eps) * math.prod(lengths) / (a.size * math.sqrt(2.0 * W.shape[1]))
