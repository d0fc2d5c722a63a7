"""Gradient descent: its settings, the loop over its steps, and how it can end."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastntk.base.errors import DivergenceError
from fastntk.engines import Engine
from fastntk.losses import LOSSES, Loss, explosion
from fastntk.optimizers import Optimizer
from fastntk.results import Run
from fastntk.training.batches import Batches
from fastntk.training.metrics import Recorder


@dataclass(frozen=True)
class Descent:
    """The checked settings of a run of gradient descent; the seed is that of the batches."""

    steps: int
    lr: float
    every: int
    optimizer: Optimizer
    batch_size: int | None
    seed: int

    def logs(self, step: int) -> bool:
        """Whether a step is logged."""
        return step % self.every == 0 or step == self.steps

    def record(self, stopped_at: int) -> dict[str, Any]:
        """The arguments of `train` that ask for it, and where it ended, JSON-able."""
        return {
            "lr": self.lr, "steps": self.steps, "every": self.every, "optimizer": self.optimizer.record(),
            "batch_size": self.batch_size, "stopped_at": stopped_at,
        }  # fmt: skip


@dataclass(frozen=True)
class Explosion:
    """A loss that can only have been reached by diverging."""

    step: int
    loss: float


def descend(
    moving: Engine,
    labels: np.ndarray,
    objective: Loss,
    descent: Descent,
    recorder: Recorder,
    report: Callable[[int], object],
) -> Explosion | None:
    """Take all steps: on a GPU without transfers, unless batches or losses are made on the host."""
    way: Callable[..., Explosion | None] = _descend
    if moving.on_gpu and descent.batch_size is None and type(objective) in LOSSES.values():
        way = importlib.import_module("fastntk.cuda.engines.descent").descend
    with moving.working():
        return way(moving, labels, objective, descent, recorder, report)


def _descend(
    moving: Engine,
    labels: np.ndarray,
    objective: Loss,
    descent: Descent,
    recorder: Recorder,
    report: Callable[[int], object],
) -> Explosion | None:
    batches = Batches(moving.n, descent.batch_size, descent.seed)
    ceiling = np.inf
    with np.errstate(over="ignore", invalid="ignore"):  # shows in the loss
        for step in range(descent.steps + 1):
            loss, e = objective.evaluate(moving.u, labels)
            if step == 0:
                ceiling = explosion(objective, loss, labels)
            if not loss <= ceiling:
                recorder.record_divergence(step, loss)
                return Explosion(step, loss)
            if descent.logs(step):
                recorder.record(step, loss, moving)
            recorder.take_snapshot(step, moving)
            if step < descent.steps:
                moving.step(batches(e), descent.lr)
                report(step + 1)
    return None


def divergence(
    run: Run, exploded: Explosion, objective: Loss, descent: Descent, lambda_max: float
) -> DivergenceError:
    """The error for a loss that exploded, with the largest step that is stable at the initial kernel."""
    curvature, stability = objective.curvature, descent.optimizer.stability
    largest = stability / (curvature * lambda_max)
    bound = "lambda_max(H(0))" if curvature == 1.0 else f"({curvature:g} lambda_max(H(0)))"
    return DivergenceError(
        f"the loss reached {exploded.loss:.3g} at step {exploded.step} with lr={descent.lr:g}; the largest stable "
        f"step is about {stability:.4g} / {bound} = {largest:.3g}",
        run,
        exploded.step,
        largest,
    )
