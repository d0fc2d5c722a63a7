"""Runge-Kutta steps without a transfer within a step: three numbers, read at its end, judge it."""

from typing import Any

import numpy as np

from fastntk.cuda.engines.interface import CudaEngine
from fastntk.device.arrays import empty, upload, zeros
from fastntk.losses import Loss
from fastntk.training import flow


class Stages:
    """As `fastntk.training.flow.Stages`, for the losses of `fastntk.losses`."""

    def __init__(self, moving: CudaEngine, labels: np.ndarray, objective: Loss) -> None:
        self._moving, self._objective = moving, objective
        self._y = upload(labels)
        self._start, self._far, self._middle = (empty(moving.n, np.float64) for _ in range(3))
        self._numbers = zeros(3, np.float64)  # error, |e|_2, loss

    def measure(self) -> tuple[float, float]:
        self._moving.copy_outputs(self._start)
        _, size, loss = self._judge(self._start, self._start, self._start)
        return loss, size

    def attempt(self, size: float) -> float:
        moving = self._moving
        moving.keep()
        moving.copy_outputs(self._start)
        for _ in range(3):
            self._stage(size)
        moving.copy_outputs(self._far)
        moving.blend(2.0 / 3.0)
        moving.copy_outputs(self._middle)
        self._stage(size)
        error, *self._after = self._judge(self._start, self._far, self._middle)
        return error

    def accept(self, size: float) -> tuple[float, float]:
        slope, loss = self._after  # the engine keeps no record of its steps
        return loss, slope

    def undo(self) -> None:
        self._moving.undo()

    def _stage(self, size: float) -> None:
        self._moving.evaluate(self._objective, self._y, self._numbers, 2)
        self._moving.advance(size / 2.0)

    def _judge(self, start: Any, far: Any, middle: Any) -> list[float]:
        """Error, ``|e|_2`` and loss at the present outputs."""
        self._moving.evaluate(self._objective, self._y, self._numbers, 2)
        self._moving.log_error(start, far, middle, self._numbers)
        return [float(number) for number in self._numbers.copy_to_host()]


@flow.steps_of.register(CudaEngine)
def steps_there(moving: CudaEngine, labels: np.ndarray, objective: Loss) -> flow.Steps:
    """`Stages`, unless the loss can only be evaluated on the host."""
    kind = Stages if moving.evaluates(objective) else flow.Stages
    return kind(moving, labels, objective)
