"""A solved path: what is known of every step, and what can be worked out for any."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.coefficients import Responses, Sparse, changed_entries, pattern
from fastntk.engines.path.momentum import Moving
from fastntk.engines.path.outputs import Outputs
from fastntk.engines.path.problem import PathProblem, Rows
from fastntk.engines.path.solved import Solved
from fastntk.engines.path.start import Start
from fastntk.engines.step_sizes import Solution
from fastntk.kernels.cpu.path_events import change_patterns, net_changes

_BLOCK = 1024  # neurons whose weights are made by one product


@dataclass(frozen=True)
class Window:
    """What some or all neurons do in steps from ``begin`` on: rows, sums, events and outputs are those of a window."""

    begin: int
    start: Start
    solved: Solved
    moving: Moving
    base: Base

    @property
    def steps(self) -> int:
        """How many."""
        return self.solved.steps


@dataclass(frozen=True)
class WindowLog:
    """Numbers of a window: outputs, entries that differ from the run's start, drift, sums; how they were found."""

    begin: int
    outputs: Outputs
    net: np.ndarray
    drift: np.ndarray
    sums: np.ndarray
    found: dict[str, Any]

    @property
    def steps(self) -> int:
        """How many."""
        return len(self.net) - 1


@dataclass(frozen=True)
class Flow:
    """How a flow was followed; for each logged time the steps up to it, and the number of its state along the path."""

    solution: Solution
    logged: list[tuple[int, int]]


@dataclass
class Path:
    """All steps of a run, in windows.

    Attributes
    ----------
    problem : PathProblem
    logs : list of WindowLog
    loss : ndarray, shape (steps + 1,)
    flips : ndarray of int64, shape (steps + 1,)
        Entries of the pattern that differ from the start.
    drift : ndarray, shape (steps + 1,)
        ``max_r |w_r - w_r(0)|_2``.
    windows : list of Window
        Of all neurons; made, perhaps fetched, when they are asked for.
    end : callable
        How far the weights come in all.
    flow : Flow or None
        Of a gradient flow.
    again : callable or None
        Makes the end again in this process, where the neurons were followed elsewhere.
    """

    problem: PathProblem
    make_windows: Callable[[list[np.ndarray]], list[Window]]
    end: Callable[[], Base]
    again: Callable[[], Base] | None = None
    flow: Flow | None = None
    logs: list[WindowLog] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Steps that were taken: fewer than asked for if the loss explodes."""
        return self.logs[-1].begin + self.logs[-1].steps

    @property
    def exploded(self) -> bool:
        """Whether the loss is beyond bounds at the last step."""
        return self.logs[-1].outputs.exploded

    @cached_property
    def windows(self) -> list[Window]:
        """Patterns and their changes."""
        return self.make_windows([log.sums for log in self.logs])

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts[:1] + [part[1:] for part in parts[1:]])

    @property
    def loss(self) -> np.ndarray:
        """The losses."""
        return self._joined([log.outputs.loss for log in self.logs])

    @property
    def u(self) -> np.ndarray:
        """The outputs, (steps + 1, n)."""
        return self._joined([log.outputs.u for log in self.logs])

    @property
    def flips(self) -> np.ndarray:
        """Entries that differ from the start."""
        return self._joined([log.net for log in self.logs])

    @property
    def drift(self) -> np.ndarray:
        """Of the neuron that has moved most."""
        return self._joined([log.drift for log in self.logs])

    def window_of(self, step: int) -> Window:
        """The window that a step lies in."""
        return next(window for window in self.windows if step <= window.begin + window.steps)

    def patterns(self) -> Iterator[np.ndarray]:
        """The pattern of each step as rows of mask bytes: one array that changes in place."""
        for window in self.windows:
            rows, events = window.start.rows.copy(), window.solved.swept.events
            for step in range(window.steps + 1):
                change_patterns(events.first[step], events.neurons, events.on, rows)
                if step > 0 or window.begin == 0:
                    yield rows

    def drifts(self, step: int) -> np.ndarray:
        """``|w_r - w_r(0)|_2`` of all neurons, (m,)."""
        made, found = self._change(step), np.empty(self.problem.m)
        for first in range(0, self.problem.m, _BLOCK):
            last = min(first + _BLOCK, self.problem.m)
            found[first:last] = np.linalg.norm(made(first, last) @ self.problem.X, axis=1)
        return found * np.abs(self.problem.unit)

    def weights(self, step: int) -> Rows:
        """Rows of W at a step, as a function of the first one and the one after the last."""
        return partial(moved, self.problem, self._change(step))

    def _change(self, step: int) -> "WeightChange":
        """The coefficients of the samples in the change of weights until a step."""
        one = self.window_of(step)
        return WeightChange(self.problem, one.start, one.solved, one.moving, one.base, step - one.begin)


class WeightChange:
    """``(first, last) -> (last - first, n)``, the coefficients at one step of a window."""

    def __init__(
        self, problem: PathProblem, start: Start, solved: Solved, moving: Moving, base: Base, step: int
    ) -> None:
        self._n, self._base, self._rows, self._active = problem.n, base, start.rows, solved.E[step]
        responses = Responses(solved.schedule, solved.e)
        self.changed = changed_entries(solved.swept.events, responses.position(step), problem.n)
        if moving.keys.size:
            self.changed += Sparse(moving.keys, solved.schedule.coast(step)[0] * moving.speeds)

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Of some neurons."""
        now = pattern(self._rows[first:last], self._n) * self._active
        return now + self.changed.dense(first, last, self._n) + self._base.dense(first, last)


def moved(problem: PathProblem, made: WeightChange, first: int, last: int) -> np.ndarray:
    """Rows of W moved by coefficients."""
    X = problem.X.astype(problem.dtype, copy=False)
    change = made(first, last).astype(problem.dtype) @ X
    change *= problem.unit[first:last, None]
    return problem.weights(first, last) - change


def net_of(window_rows: np.ndarray, solved: Solved, base: Base) -> np.ndarray:
    """Entries that differ from the start of the run, at each step of a window."""
    events = solved.swept.events
    net = np.empty(solved.steps + 1, np.int64)
    net_changes(events.first, events.neurons, events.on, base.rows, net)
    net[0] += np.bitwise_count(window_rows ^ base.rows).sum(dtype=np.int64)
    return np.cumsum(net)
