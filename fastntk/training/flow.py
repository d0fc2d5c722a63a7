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

import functools
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from fastntk.engines import Engine
from fastntk.losses import Loss
from fastntk.training.metrics import Recorder
from fastntk.training.outcome import Solution
from fastntk.training.settings import Settings

__all__ = ["Stages", "Steps", "integrate", "steps_of"]

METHOD = "SSP Runge-Kutta 3(2), four stages"
MOST_STEPS = 100_000  # accepted and rejected
_WEIGHTS = (1 / 6, 1 / 6, 1 / 6, 1 / 2)  # of the gradients of the stages in a step
_SAFETY, _LEAST, _MOST = 0.9, 0.2, 2.0  # of a step size over the one before
_SMALLEST = 1e-15  # step size, as a part of the time
_ROUNDINGS = 4.0  # of the outputs in working precision: errors below are not controlled


class Steps(Protocol):
    """Runge-Kutta steps of an engine, each of which is attempted and then accepted or undone."""

    def measure(self) -> tuple[float, float]:
        """The loss and ``|e|_2`` at the present state."""

    def attempt(self, size: float) -> float:
        """Take one step, provisionally; the estimated error of the outputs."""

    def accept(self, size: float) -> tuple[float, float]:
        """Make the step final; the loss and ``|e|_2`` there."""

    def undo(self) -> None:
        """Return to the state before the step."""


class Stages:
    """The same, with a loss that the host evaluates."""

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


@functools.singledispatch
def steps_of(moving: Engine, labels: np.ndarray, objective: Loss) -> Steps:
    """The steps of an engine; one that has its own registers them here for its type."""
    return Stages(moving, labels, objective)


def integrate(
    moving: Engine,
    labels: np.ndarray,
    settings: Settings,
    recorder: Recorder,
    report: Callable[[int], object],
) -> Solution:
    """Follow the flow through all times; each is recorded with the number of accepted steps up to it."""
    rounding = _ROUNDINGS * _rounding(moving)

    def log(accepted: int, loss: float) -> None:
        recorder.record(accepted, loss, moving)

    with np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in the error of a step
        return _integrate(steps_of(moving, labels, settings.loss), rounding, settings, log, report)


def _integrate(
    stages: Steps,
    rounding: float,
    settings: Settings,
    log: Callable[[int, float], object],
    report: Callable[[int], object],
) -> Solution:
    assert settings.times is not None
    found = Solution(settings.tolerance, METHOD)
    first, *goals = settings.times
    size = goals[0]
    loss, slope = stages.measure()
    log(0, loss)
    if not math.isfinite(loss):
        found.failure = f"the loss is {loss:g} at time {first:g}"
        return found
    for index, goal in enumerate(goals, 1):
        while found.time < goal:
            if found.accepted + found.rejected == MOST_STEPS or size <= _SMALLEST * max(
                found.time, 1e-99 * goal
            ):
                found.failure = (
                    f"the step size fell to {size:.3g} after {found.accepted} accepted and {found.rejected} "
                    f"rejected steps, at time {found.time:.6g} of {settings.times[-1]:g}"
                )
                return found
            left = goal - found.time
            parts = math.ceil(left / size * (1.0 - 1e-9))  # equal steps up to the next time
            step = left / parts
            error = stages.attempt(step)
            found.evaluations += len(_WEIGHTS)
            allowed = settings.tolerance * slope + rounding
            factor = _factor(error, allowed)
            if error <= allowed:
                loss, slope = stages.accept(step)
                found.accepted += 1
                found.error_estimate += error
                found.time = goal if parts == 1 else found.time + step
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
