"""A solved path seen as an engine: each step is looked up, so that loops and metrics need not know how it was made."""

from typing import Any

import numpy as np

from fastntk.base.packing import PackedMasks, byte_rows
from fastntk.engines.interface import PLAIN, Engine, Motion
from fastntk.engines.path.problem import Problem
from fastntk.engines.path.solution import Path
from fastntk.kernels.cpu.path_events import change_patterns
from fastntk.model.network import TwoLayerReLU

_BLOCK = 4096  # neurons whose weights are written at once


class PathEngine(Engine):
    """Step k of a path; ``path`` is solved before, for the loss and the steps that will be asked for."""

    name = "path"

    @staticmethod
    def bytes_needed(n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN) -> int:
        """The pattern twice, a tenth of the entries with their places, what is kept of a neuron, six matrices."""
        return n * m // 4 + n * m * (itemsize + 24) // 10 + 80 * m + 48 * n * n

    def __init__(self, net: TwoLayerReLU, path: Path) -> None:
        problem = path.problem
        super().__init__(problem.X, net, Motion(optimizer=problem.optimizer))
        self.path, self._at = path, 0
        self._u, self._flips, self._drift = path.u, path.flips, path.drift
        self.u = self._u[0]
        self._shown, self._rows = 0, path.windows[0].start.rows.copy()
        self._initial = packed_rows(self._rows, problem)

    def step(self, e: np.ndarray, lr: float) -> None:
        """Go to the next step, whose derivatives and size are those that the path was solved for."""
        self._at += 1
        self.u = self._u[self._at]

    def _blend(self, share: float) -> None:
        raise NotImplementedError("a path is descent; a flow needs another engine")

    @property
    def initial_masks(self) -> PackedMasks:  # type: ignore[override]
        """The pattern at the start."""
        return self._initial

    @property
    def masks(self) -> PackedMasks:  # type: ignore[override]
        """The present pattern."""
        while self._shown < self._at:
            self._shown += 1
            window = self.path.window_of(self._shown)
            if self._shown == window.begin + 1:
                self._rows = window.start.rows.copy()
            events = window.solved.swept.events
            change_patterns(events.first[self._shown - window.begin], events.neurons, events.on, self._rows)
        return packed_rows(self._rows, self.path.problem)

    def flip_fraction(self) -> float:
        """Of the present step."""
        return float(self._flips[self._at]) / (self.n * self.m)

    def drift(self) -> float:
        """Of the present step."""
        return float(self._drift[self._at])

    def drifts(self) -> np.ndarray:
        """Of all neurons: a dense product."""
        return self.path.drifts(self._at)

    def write_weights(self, out: np.ndarray) -> None:
        """Of the present step, by blocks of neurons."""
        for first in range(0, self.m, _BLOCK):
            last = min(first + _BLOCK, self.m)
            out[first:last] = self.path.weights(self._at, first, last)

    def facts(self) -> dict[str, Any]:
        """How the path was found, for the record of a run: one entry for each window."""
        windows = self.path.windows
        return {
            "steps": [window.steps for window in windows],
            "rounds": [window.solved.rounds for window in windows],
            "rank": [window.solved.swept.rank for window in windows],
            "candidates": [window.solved.candidates for window in windows],
            "events": [window.solved.swept.events.total for window in windows],
            "last_change": [window.solved.change for window in windows],
            "rounding": [window.solved.swept.doubt for window in windows],
            "within_rounding": [window.solved.swept.within for window in windows],
            "certificate": "from z as computed at the start of each window: every sign is that of the exact z but for "
            "within_rounding signs of candidates closer to zero than rounding; no other entry can have changed",
        }


def packed_rows(rows: np.ndarray, problem: Problem) -> PackedMasks:
    """The pattern as other engines keep it."""
    masks = PackedMasks.empty(problem.n, problem.m)
    masks.bits[:, : problem.m] = rows[:, : byte_rows(problem.n)].T
    return masks
