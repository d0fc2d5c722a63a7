"""Gradient flow ``dw/dt = -dL/dw``: steps of gradient descent combined to a Runge-Kutta method with error control.

The method and the choice of its step sizes: `fastntk.engines.step_sizes`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from fastntk.engines.interface import Engine
from fastntk.engines.path import PathEngine
from fastntk.engines.step_sizes import Control, Solution, rounding_of, step_error
from fastntk.losses import Loss
from fastntk.training.metrics import Recorder
from fastntk.training.settings import Settings

__all__ = ["Stages", "Steps", "integrate", "steps_of"]

_WEIGHTS = (1 / 6, 1 / 6, 1 / 6, 1 / 2)  # of the gradients of the stages in a step


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
        return float(step_error(start, far, middle, moving.u))

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


@functools.singledispatch
def integrate(
    moving: Engine,
    labels: np.ndarray,
    settings: Settings,
    recorder: Recorder,
    report: Callable[[int], object],
) -> Solution:
    """Follow the flow through all times; each is recorded with the number of accepted steps up to it."""

    def log(accepted: int, loss: float) -> None:
        recorder.record(accepted, loss, moving)

    with np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in the error of a step
        rounding = rounding_of(moving.X, float(np.linalg.norm(moving.net.W)), moving.net.a)
        return _integrate(steps_of(moving, labels, settings.loss), rounding, settings, log, report)


def _integrate(
    stages: Steps,
    rounding: float,
    settings: Settings,
    log: Callable[[int, float], object],
    report: Callable[[int], object],
) -> Solution:
    assert settings.times is not None
    control = Control(settings.times, settings.tolerance, rounding)
    found, (first, *goals) = control.found, settings.times
    loss, slope = stages.measure()
    log(0, loss)
    if not math.isfinite(loss):
        found.failure = f"the loss is {loss:g} at time {first:g}"
        return found
    for index, goal in enumerate(goals, 1):
        while found.time < goal:
            proposed = control.propose(goal)
            if proposed is None:
                return found
            step, end = proposed
            if control.judge(step, end, stages.attempt(step), slope):
                loss, slope = stages.accept(step)
            else:
                stages.undo()
        log(found.accepted, loss)
        report(index)
    return found


@integrate.register
def _(
    moving: PathEngine,
    labels: np.ndarray,
    settings: Settings,
    recorder: Recorder,
    report: Callable[[int], object],
) -> Solution:
    """The flow has been followed: what is logged is looked up."""
    flow = moving.path.flow
    assert flow is not None
    loss = moving.path.loss
    for index, (accepted, stage) in enumerate(flow.logged):
        moving.go(stage)
        recorder.record(accepted, float(loss[stage]), moving)
        if index:
            report(index)
    moving.go(moving.path.steps)
    return flow.solution
