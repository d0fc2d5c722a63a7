"""Velocities from one window to the next: of active entries, and what changed ones have beside it."""

from dataclasses import dataclass

import numpy as np

from fastntk.engines.path.candidates import Chosen
from fastntk.engines.path.coefficients import Responses, Sparse, changed_entries, differences, pattern
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.solved import Solved
from fastntk.engines.path.start import Start

_BLOCK = 4096  # neurons of a product


@dataclass(frozen=True)
class Moving:
    """The velocities at the start of a window: that of active entries, and what changed ones have beside it."""

    velocity: np.ndarray  # (n,)
    keys: np.ndarray  # neuron * n + sample, ascending
    speeds: np.ndarray

    def at(self, chosen: Chosen, problem: PathProblem) -> np.ndarray:
        """The speeds of the candidates, among which all that have one must be; empty if none has."""
        if not self.keys.size:
            return np.empty(0, problem.dtype)
        owners = np.repeat(np.arange(problem.m), np.diff(chosen.first))
        keys = owners * problem.n + chosen.samples
        speeds = np.zeros(keys.size, problem.dtype)
        speeds[np.searchsorted(keys, self.keys)] = self.speeds
        return speeds

    def of_outputs(self, problem: PathProblem, start: Start) -> np.ndarray:
        """The velocity of the outputs read out at the pattern of the start, (n,)."""
        if not self.velocity.any() and not self.keys.size:
            return np.zeros(problem.n)
        sums = start.sums * self.velocity[:, None]
        speeds = Sparse(self.keys, self.speeds)
        for first in range(0, problem.m if self.keys.size else 0, _BLOCK):
            last = min(first + _BLOCK, problem.m)
            weighted = pattern(start.rows[first:last], problem.n) * np.square(
                problem.a[first:last, None], dtype=np.float64
            )
            sums += speeds.dense(first, last, problem.n).T @ weighted
        return -(problem.K * sums).sum(axis=0) / problem.width

    @classmethod
    def still(cls, n: int) -> "Moving":
        """None."""
        return cls(np.zeros(n), np.empty(0, np.int64), np.empty(0))


class Ended:
    """The velocities at the end of a window, to be seen from the pattern that the next one starts with."""

    def __init__(self, problem: PathProblem, start: Start, solved: Solved, moving: Moving) -> None:
        tails = Responses(solved.schedule, solved.e).velocity(solved.steps)
        _, damping = solved.schedule.coast(solved.steps)
        self._rows, self._velocity = start.rows, damping * moving.velocity + tails[0]
        self._speeds = changed_entries(solved.swept.events, tails, problem.n)
        self._speeds += Sparse(moving.keys, damping * moving.speeds)

    @property
    def keys(self) -> np.ndarray:
        """Entries that may have a speed of their own."""
        return self._speeds.keys

    def against(self, rows: np.ndarray) -> Moving:
        """Speeds beside that of the entries of this pattern: ``p + (M before - M now) velocity``."""
        n = self._velocity.size
        turned = differences(rows, self._rows, n)
        speeds = self._speeds + Sparse(turned.keys, turned.values * self._velocity[turned.keys % n])
        return Moving(self._velocity, speeds.keys, speeds.values)
