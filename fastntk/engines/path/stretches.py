"""Steps of a flow that are planned ahead, and what their outputs say of their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastntk.engines.path.outputs import Outputs
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.schedule import FLOW_ROWS, FLOW_TIMES
from fastntk.engines.path.start import Start
from fastntk.engines.step_sizes import Control, step_error

_AIM = 0.65  # of the allowed error, at which new sizes aim
_BELOW = 0.8  # of it, where one was too large
_AROUND = 8  # steps on both sides that get smaller, too
_LEAST, _MOST = 0.1, 2.0  # of a size over the one before


@dataclass(frozen=True)
class Stretch:
    """Steps from a time on; ``goals`` says of each which logged time it ends at, by its number, or -1."""

    begin: float
    sizes: np.ndarray
    goals: np.ndarray

    def __len__(self) -> int:
        return self.sizes.size

    @property
    def times(self) -> np.ndarray:
        """When they begin, and when the last one ends."""
        return self.begin + np.concatenate(([0.0], np.cumsum(self.sizes)))

    @property
    def stages(self) -> np.ndarray:
        """The times of the states, stages included, of which the outputs are known."""
        inner = self.times[:-1, None] + self.sizes[:, None] * FLOW_TIMES
        return np.append(inner.ravel(), self.times[-1])

    def until(self, count: int) -> Stretch:
        """The first steps."""
        return Stretch(self.begin, self.sizes[:count], self.goals[:count])

    def sized(self, wanted: np.ndarray) -> Stretch:
        """Steps of other sizes, wanted at the times of these; between logged times they change as these do."""
        sizes: list[np.ndarray] = []
        goals: list[np.ndarray] = []
        ends = np.flatnonzero(self.goals >= 0).tolist()
        if not ends or ends[-1] < len(self) - 1:
            ends.append(len(self) - 1)
        first = 0
        for last in ends:
            own = slice(first, last + 1)
            steps = np.concatenate(([0.0], np.cumsum(self.sizes[own] / wanted[own])))
            times = np.concatenate(([0.0], np.cumsum(self.sizes[own])))
            parts = max(1, int(np.ceil(steps[-1] * (1.0 - 1e-9))))
            sizes.append(np.diff(np.interp(np.linspace(0.0, steps[-1], parts + 1), steps, times)))
            goals.append(np.append(np.full(parts - 1, -1), self.goals[last]))
            first = last + 1
        return Stretch(self.begin, np.concatenate(sizes), np.concatenate(goals))


def even_steps(control: Control, times: Sequence[float], reached: int, most: int) -> Stretch:
    """At most so many steps of about the present size; the logged times up to number ``reached`` are past."""
    sizes: list[float] = []
    goals: list[int] = []
    time = control.found.time
    for number in range(reached + 1, len(times)):
        parts = int(np.ceil((times[number] - time) / control.size * (1.0 - 1e-9)))
        count = min(parts, most - len(sizes))
        sizes += [(times[number] - time) / parts] * count
        goals += [-1] * count
        if count < parts:
            break
        goals[-1], time = number, times[number]
    return Stretch(control.found.time, np.array(sizes), np.array(goals))


def linear_steps(
    problem: PathProblem, start: Start, control: Control, times: Sequence[float], most: int
) -> Stretch:
    """The steps of the flow of a network whose pattern never changes, at most so many."""
    H = problem.K * start.sums / problem.width
    trial = control.copy()
    sizes: list[float] = []
    goals: list[int] = []
    u, e = start.u, problem.objective.evaluate(start.u, problem.labels)[1]
    for number in range(1, len(times)):
        while trial.found.time < times[number]:
            proposed = trial.propose(times[number])
            if proposed is None or len(sizes) == most:
                return Stretch(control.found.time, np.array(sizes), np.array(goals))
            step, end = proposed
            far, slope = u, e
            for _ in range(3):
                far = far - 0.5 * step * (H @ slope)
                slope = problem.objective.evaluate(far, problem.labels)[1]
            middle = (2.0 * u + far) / 3.0
            z = middle - 0.5 * step * (H @ problem.objective.evaluate(middle, problem.labels)[1])
            if trial.judge(step, end, float(step_error(u, far, middle, z)), float(np.linalg.norm(e))):
                u, e = z, problem.objective.evaluate(z, problem.labels)[1]
                sizes.append(step)
                goals.append(number if end == times[number] else -1)
    return Stretch(control.found.time, np.array(sizes), np.array(goals))


def errors_of(plan: Stretch, outputs: Outputs, control: Control) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each step: the estimated error, infinite where outputs are missing, what is allowed, and ``|e|_2`` before."""
    count = min((len(outputs.u) - 1) // FLOW_ROWS, len(plan))
    u = outputs.u[: FLOW_ROWS * count + 1]
    rows = [u[first : FLOW_ROWS * count + 1 : FLOW_ROWS] for first in range(FLOW_ROWS)]
    errors = np.full(len(plan), np.inf)
    errors[:count] = step_error(rows[0][:count], rows[3], rows[4], rows[0][1:])
    errors[np.isnan(errors)] = np.inf
    slopes = np.full(len(plan), np.nan)
    slopes[:count] = np.linalg.norm(outputs.e[: FLOW_ROWS * count : FLOW_ROWS], axis=1)
    slopes[count:] = slopes[count - 1] if count else 0.0
    return errors, np.array([control.allowed(slope) for slope in slopes]), slopes


def better(plan: Stretch, errors: np.ndarray, smooth: np.ndarray, allowed: np.ndarray) -> Stretch:
    """Steps of sizes at which the errors would be as allowed.

    ``smooth`` are those without changes of the pattern, of order 3; what entries at their kink add is of order 1, and
    in other directions.
    """
    wanted = _AIM * allowed
    cubic = np.clip(smooth / wanted, 1e-3, 1e3)
    linear = np.clip(
        np.sqrt(np.maximum(errors**2 - np.minimum(smooth, errors) ** 2, 0.0)) / wanted, 1e-3, 1e3
    )
    low, high = np.full(len(plan), _LEAST), np.full(len(plan), _MOST)
    for _ in range(20):
        factor = 0.5 * (low + high)
        large = np.hypot(cubic * factor**3, linear * factor) > 1.0
        low, high = np.where(large, low, factor), np.where(large, factor, high)
    return plan.sized(plan.sizes * low)


def smaller(plan: Stretch, errors: np.ndarray, allowed: np.ndarray) -> Stretch:
    """Smaller steps around those with large errors: sizes that jump would stir up the entries at their kink."""
    ratios = np.pad(errors / allowed, _AROUND, mode="edge")
    largest = np.lib.stride_tricks.sliding_window_view(ratios, 2 * _AROUND + 1).max(axis=1)
    return plan.sized(plan.sizes * np.clip(_BELOW / np.maximum(largest, _BELOW), _LEAST, 1.0))


def guess(
    problem: PathProblem, plan: Stretch, linear: Outputs, known: tuple[Stretch, Outputs, Outputs] | None
) -> Outputs:
    """The outputs of steps, from those of others and from what both would be if no pattern changed."""
    if known is None:
        return linear
    other, found, without = known
    count = min(len(found.u), len(without.u))
    rows = slice(0, count, FLOW_ROWS)
    times, beside = other.times[: -(-count // FLOW_ROWS)], found.u[rows] - without.u[rows]
    at = np.interp(plan.stages[: len(linear.u)], times, np.arange(len(times)))
    low = np.minimum(at.astype(int), max(len(times) - 2, 0))
    high, share = np.minimum(low + 1, len(times) - 1), (at - low)[:, None]
    u = linear.u + (1.0 - share) * beside[low] + share * beside[high]
    values = [problem.objective.evaluate(row, problem.labels) for row in u]
    return Outputs(
        u, np.array([loss for loss, _ in values]), np.array([e for _, e in values]), linear.exploded
    )
