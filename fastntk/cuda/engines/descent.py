"""The training loop without transfers inside a step: losses, flips and drift are logged on the GPU, read in batches.

The host looks at the log every `BATCH` steps, and where diagnostics, a snapshot or numbers of H(k) need a state; a loss
that has exploded is found then, at its step, and what was computed beyond is dropped.
"""

from collections.abc import Callable

import numpy as np

from fastntk.cuda.engines.interface import CudaEngine
from fastntk.device.arrays import empty, upload, zeros
from fastntk.kernels.cuda.conversion import zero
from fastntk.losses import Loss, explosion
from fastntk.training.descent import descend, descend_on_host
from fastntk.training.metrics import Recorder
from fastntk.training.outcome import Explosion, Finished
from fastntk.training.settings import Settings

BATCH = 64  # steps between two looks at the log


@descend.register(CudaEngine)
def descend_on_gpu(
    moving: CudaEngine,
    labels: np.ndarray,
    settings: Settings,
    recorder: Recorder,
    report: Callable[[int], object],
) -> Finished | Explosion:
    """As `descend_on_host`, which also takes over where batches are drawn or a loss is not one of `fastntk.losses`."""
    if settings.batch_size is not None or not moving.evaluates(settings.loss):
        return descend_on_host(moving, labels, settings, recorder, report)
    log = _Log(labels, settings.loss, recorder, moving)
    for step in range(settings.steps + 1):
        logged = settings.logs(step)
        log.write(logged)
        if log.full or step in (0, settings.steps) or recorder.wants_state(step, logged):
            exploded = log.read()
            if exploded is not None:
                return exploded
        recorder.take_snapshot(step, moving)
        if step < settings.steps:
            moving.advance(settings.lr)
            report(step + 1)
    return Finished(settings.steps)


class _Log:
    """Losses and metrics of the steps since the last look, on the device."""

    def __init__(self, labels: np.ndarray, objective: Loss, recorder: Recorder, moving: CudaEngine) -> None:
        self._labels, self._objective, self._recorder, self._moving = labels, objective, recorder, moving
        self._y = upload(labels)
        self._losses = empty(BATCH, np.float64)
        self._drifts, self._drifts_a = zeros(BATCH, np.float64), zeros(BATCH, np.float64)
        self._flips = zeros(BATCH, np.int64)
        self._first = 0
        self._logged: list[bool] = []
        self._ceiling = np.inf

    @property
    def full(self) -> bool:
        return len(self._logged) == BATCH

    def write(self, logged: bool) -> None:
        """Note the present step: its loss, and the other metrics if it is logged."""
        k, metrics = len(self._logged), self._recorder.metrics
        self._moving.evaluate(self._objective, self._y, self._losses, k)
        if logged and "flips" in metrics:
            self._moving.log_flips(self._flips, k)
        if logged and "drift" in metrics:
            self._moving.log_drift(self._drifts, k)
            if self._moving.layers != "first":
                self._moving.log_drift_a(self._drifts_a, k)
        self._logged.append(logged)

    def read(self) -> Explosion | None:
        """Hand the steps to the recorder and begin anew; the explosion, if a loss exploded."""
        losses, drifts, drifts_a = (
            series.copy_to_host() for series in (self._losses, self._drifts, self._drifts_a)
        )
        moving = self._moving
        flips = self._flips.copy_to_host() / (moving.n * moving.m)
        if self._first == 0:
            self._ceiling = explosion(self._objective, float(losses[0]), self._labels)
        sound = int(np.argmin(np.append(losses[: len(self._logged)] <= self._ceiling, False)))
        for k, logged in enumerate(self._logged[:sound]):
            if logged:
                step, numbers = self._first + k, (float(flips[k]), float(drifts[k]), float(drifts_a[k]))
                self._recorder.record(step, float(losses[k]), moving, *numbers)
        if sound < len(self._logged):
            exploded = Explosion(self._first + sound, float(losses[sound]))
            self._recorder.record_divergence(exploded.step, exploded.loss)
            return exploded
        self._first += len(self._logged)
        self._logged = []
        zero(self._flips)
        return None
