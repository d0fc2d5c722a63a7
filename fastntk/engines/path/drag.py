"""What changed patterns of a part add to the pushes of the outputs, before the residuals of the round are known.

The whole of a network at hand follows its residuals while its patterns change (`outputs`).  A part does not know what
the others do to them, so it gives ``K o F(s)`` times the residuals of the round before; what these have changed by in
their own direction is made up for where all parts come together.
"""

from dataclasses import dataclass

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.engines.path.events import Events
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.schedule import Schedule
from fastntk.kernels.cpu.path_recursion import path_step

RANGES = 16


def pushes(
    problem: PathProblem, rows: np.ndarray, schedule: Schedule, e: np.ndarray, events: Events
) -> np.ndarray:
    """``-(weight / m) [K o F(s)] e(s)`` of these neurons, whose patterns start with the rows, (steps, n)."""
    n, kind = problem.n, problem.counting
    K = problem.inner(kind)
    C, shares = np.zeros_like(K), aligned_zeros((min(RANGES, n), K.shape[1]), kind)
    weights = problem.squares(kind)
    found, factors = np.empty((len(e), n), problem.dtype), np.empty(n, kind)
    for s, (weight, derivatives) in enumerate(zip(schedule.weights, e, strict=False)):
        factors[:] = (-weight / problem.width) * derivatives
        path_step(K, C, rows, events.first[s], events.neurons, events.on, weights, factors, shares)
        found[s] = shares.sum(axis=0, dtype=np.float64)[:n]
    return found


@dataclass(frozen=True)
class Drag:
    """The sum of the pushes of all parts, (steps, n), for the residuals e."""

    e: np.ndarray
    pushes: np.ndarray

    def along(self, s: int, e: np.ndarray) -> np.ndarray:
        """For other residuals of a step: theirs in the direction of those that it is known for."""
        known = self.e[s]
        size = float(known @ known)
        return self.pushes[s] * (float(known @ e) / size if size > 0.0 else 1.0)
