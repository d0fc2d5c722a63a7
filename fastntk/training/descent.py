"""Gradient descent: the loop over its steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastntk.engines.interface import Engine
from fastntk.losses import explosion
from fastntk.training.batches import Batches
from fastntk.training.deep_metrics import DeepRecorder
from fastntk.training.metrics import Recorder
from fastntk.training.outcome import Explosion, Finished
from fastntk.training.settings import Settings

__all__ = ["descend", "descend_on_host"]


def descend_on_host(
    moving: Any,
    labels: np.ndarray,
    settings: Settings,
    recorder: Recorder | DeepRecorder,
    report: Callable[[int], object],
) -> Finished | Explosion:
    """Take all steps, with losses, batches and metrics that the host asks of the engine, which the recorder knows."""
    objective, batches = settings.loss, Batches(moving.n, settings.batch_size, settings.seed)
    ceiling = np.inf
    with np.errstate(over="ignore", invalid="ignore"):  # shows in the loss
        for step in range(settings.steps + 1):
            loss, e = objective.evaluate(moving.u, labels)
            if step == 0:
                ceiling = explosion(objective, loss, labels)
            if not loss <= ceiling:
                recorder.record_divergence(step, loss)
                return Explosion(step, loss)
            if settings.logs(step):
                recorder.record(step, loss, moving)
            recorder.take_snapshot(step, moving)
            if step < settings.steps:
                moving.step(batches(e), settings.lr)
                report(step + 1)
    return Finished(settings.steps)


@functools.singledispatch
def descend(
    moving: Engine,
    labels: np.ndarray,
    settings: Settings,
    recorder: Recorder,
    report: Callable[[int], object],
) -> Finished | Explosion:
    """Take all steps; an engine with a loop of its own registers it here for its type."""
    return descend_on_host(moving, labels, settings, recorder, report)
