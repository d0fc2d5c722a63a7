"""The outputs along a path, given all changes of the pattern.

``u(s) = u_lin(s) + S(s)``: u_lin is read out at the pattern of the start, which a step of weight w moves by
``-(w/m) sum_l K_il C_li e_l(s)`` with ``C_li = sum_r a_r^2 M_lr(s) M_ir(0)``; S is what changed entries add.
"""

from dataclasses import dataclass

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.engines.path.drag import RANGES
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.schedule import Schedule
from fastntk.engines.path.start import Start
from fastntk.engines.path.sweeps import Swept
from fastntk.kernels.cpu.path_recursion import path_step


@dataclass(frozen=True)
class Outputs:
    """Along steps 0, 1, ...: outputs, losses and their derivatives, as far as the loss stays below the ceiling."""

    u: np.ndarray
    loss: np.ndarray
    e: np.ndarray
    exploded: bool

    def until(self, step: int) -> "Outputs":
        """Those up to a step."""
        end = step + 1
        return Outputs(self.u[:end], self.loss[:end], self.e[:end], self.exploded and end == len(self.e))


class Recursion:
    """Outputs from events, with matrices that are made once in a window."""

    def __init__(self, problem: PathProblem, start: Start, velocity: np.ndarray, ceiling: float) -> None:
        self._problem, self._start, self._velocity, self._ceiling = problem, start, velocity, ceiling
        self._K = problem.inner(problem.counting)
        self._C = np.empty_like(self._K)
        self._shares = aligned_zeros((min(RANGES, problem.n), self._K.shape[1]), problem.counting)
        self._weights = problem.squares(problem.counting)

    def __call__(self, schedule: Schedule, swept: Swept | None) -> Outputs:
        """At most these steps; without events those of the network with the kernel of the start."""
        problem, n, steps = self._problem, self._problem.n, len(schedule)
        self._C.fill(0)
        self._C[:, :n] = self._start.sums
        read_out, velocity = self._start.u.copy(), self._velocity.copy()
        u, e, loss = np.empty((steps + 1, n)), np.empty((steps + 1, n)), np.empty(steps + 1)
        quiet = np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.bool_)
        factors = np.empty(n, problem.counting)
        for s in range(steps + 1):
            u[s] = read_out if swept is None else read_out + swept.S[s]
            loss[s], e[s] = problem.objective.evaluate(u[s], problem.labels)
            if not loss[s] <= self._ceiling:
                return Outputs(u[: s + 1], loss[: s + 1], e[: s + 1], True)
            if s == steps:
                break
            weight, beta, ahead, direct = schedule.rows[s]
            factors[:] = (-weight / problem.width) * e[s]
            first, neurons, on = quiet
            if swept is not None:
                first, neurons, on = swept.events.first[s], swept.events.neurons, swept.events.on
            path_step(
                self._K, self._C, self._start.rows, first, neurons, on, self._weights, factors, self._shares
            )
            push = self._shares.sum(axis=0, dtype=np.float64)[:n]
            if swept is not None and swept.drag is not None:
                push += swept.drag.along(s, e[s])
            velocity = beta * velocity + push
            read_out = read_out + ahead * velocity + direct * push
        return Outputs(u, loss, e, False)
