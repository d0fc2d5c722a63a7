"""Gradient flow as a path: its steps are planned ahead, followed at once, and judged by their own errors.

The sizes of the steps are those that the network would need if its pattern never changed; a round or two along
these steps say how large their errors are with the changes, and give better sizes.  Then the residuals of the
stages of all steps are settled like those of descent (`rounds`).  Where errors turn out to be too large, steps
are made smaller, and the residuals settled again from the same pass over the neurons: what is kept of a step is
final, and its error is within the tolerance.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fastntk.engines.path.outputs import Outputs, Recursion
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounds import COARSE, Settled, Unreachable, settle
from fastntk.engines.path.schedule import FLOW_ROWS, Schedule
from fastntk.engines.path.solution import Flow, Path
from fastntk.engines.path.start import Start
from fastntk.engines.path.stretches import (
    Stretch,
    better,
    errors_of,
    even_steps,
    guess,
    linear_steps,
    smaller,
)
from fastntk.engines.path.teams import Here, Team
from fastntk.engines.path.windows import closed, first_reach, path_of
from fastntk.engines.step_sizes import EVALUATIONS, Control

_ROOM = 2**22  # outputs of the stages of a window
_LONGEST = 1000  # steps of a window
_PROBES = 6  # that look for sizes before residuals are settled
_ATTEMPTS = 3  # to settle all steps of a window within the tolerance
_FEWER = 0.7  # of the steps: then it is worth another probe


def rough_steps(problem: PathProblem, start: Start, end: float) -> Schedule:
    """Of the flow from 0 to a time."""
    times = (0.0, end)
    return Schedule.of_flow(linear_steps(problem, start, Control(times, 0.1, 0.0), times, _LONGEST).sizes)


def solve_flow(
    problem: PathProblem,
    times: Sequence[float],
    tolerance: float,
    rounding: float,
    judge: Callable[[int], object] = lambda _: None,
    team: Team | None = None,
) -> Path:
    """The flow through all times, or up to where it fails; errors below ``rounding`` are always allowed.

    `judge` is told after each window but the last how many steps are done.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.engines.path import PathProblem, solve_flow
    >>> from fastntk.losses import Squared
    >>> from fastntk.optimizers import GradientDescent
    >>> W, a, X = np.array([[3.0]]), np.array([1.0]), np.array([[1.0]])
    >>> problem = PathProblem(X, np.array([1.0]), Squared(), GradientDescent(), 0.0, 0, a, lambda i, j: W[i:j])
    >>> path = solve_flow(problem, [0.0, np.log(2.0)], 1e-6, 0.0)
    >>> float(path.u[-1, 0].round(5))
    2.0
    """
    team = Here(problem) if team is None else team
    path, control = path_of(problem, team), Control(times, tolerance, rounding)
    found, logged, size = control.found, [(0, 0)], 0.0
    reach = first_reach(problem, functools.partial(rough_steps, end=times[-1]))
    path.flow = Flow(found, logged)
    most = int(np.clip(_ROOM // (FLOW_ROWS * problem.n), 1, _LONGEST))
    begun: tuple[Start, np.ndarray] | None = None
    while len(logged) < len(times):
        if control.propose(times[len(logged)]) is None:
            if not path.logs:
                raise Unreachable
            return path
        begun = team.begin(problem, reach) if begun is None else begun
        start, push = begun
        room = min(most, control.left)
        if path.logs:
            plan = even_steps(control, times, len(logged) - 1, room)
        else:
            loss, e = problem.objective.evaluate(start.u, problem.labels)
            if not np.isfinite(loss):
                raise Unreachable
            size, plan = float(np.abs(e).max()), linear_steps(problem, start, control, times, room)
        window = _FlowWindow(problem, Recursion(problem, start, push, np.inf), control, team, size, most)
        plan, settled, errors, slopes = window.solve(plan)
        if len(plan):
            begun = None
            done = path.steps if path.logs else 0
            path.logs.append(closed(team, done, Schedule.of_flow(plan.sizes, plan.goals >= 0), settled))
        for step, goal, error, slope in zip(plan.sizes, plan.goals, errors, slopes, strict=True):
            end = times[goal] if goal >= 0 else found.time + step
            control.judge(float(step), float(end), float(error), float(slope))
            if goal >= 0:
                logged.append((found.accepted, FLOW_ROWS * found.accepted))
        if len(logged) < len(times):
            judge(found.accepted)
    return path


class _FlowWindow:
    """Steps from the start of a window: looked for, settled and judged."""

    def __init__(
        self, problem: PathProblem, recursion: Recursion, control: Control, team: Team, size: float, most: int
    ) -> None:
        self._problem, self._recursion, self._control = problem, recursion, control
        self._team, self._size, self._most = team, size, most
        self._known: tuple[Stretch, Outputs, Outputs] | None = None

    def _guessed(self, plan: Stretch) -> tuple[Schedule, Outputs, Outputs]:
        schedule = Schedule.of_flow(plan.sizes, plan.goals >= 0)
        linear = self._recursion(schedule, None)
        return schedule, linear, guess(self._problem, plan, linear, self._known)

    def _probed(self, plan: Stretch) -> Stretch:
        """Steps with errors about as large as is allowed."""
        for _ in range(_PROBES):
            schedule, linear, guessed = self._guessed(plan)
            schedule = schedule.until(len(guessed.e) - 1)
            one = self._team.follow(schedule, guessed.e[:-1], False, COARSE)
            found = self._recursion(schedule, one.swept)
            self._known = plan, found, linear
            errors, allowed, _ = errors_of(plan, found, self._control)
            smooth = errors_of(plan, linear, self._control)[0]
            wanted = better(plan, errors, smooth, allowed)
            failed = errors > allowed
            if np.count_nonzero(failed) <= 0.05 * len(plan) and len(wanted) > _FEWER * len(plan):
                return smaller(plan, errors, allowed).until(self._most) if failed.any() else plan
            plan = wanted.until(self._most)
        return plan

    def solve(self, plan: Stretch) -> tuple[Stretch, Settled, np.ndarray, np.ndarray]:
        """The steps that are final, of which there may be none if the first one fails; errors and ``|e|_2`` of each."""
        plan, control, found = self._probed(plan), self._control, self._control.found
        for attempt in range(1, _ATTEMPTS + 1):
            schedule, linear, guessed = self._guessed(plan)
            settled = settle(self._problem, schedule, guessed, self._recursion, self._size, self._team.follow)
            done = settled.steps // FLOW_ROWS
            if done == 0:
                raise Unreachable("not one step of the flow settled")
            self._known = plan, settled.outputs, linear
            errors, allowed, slopes = errors_of(plan, settled.outputs, control)
            errors[done:] = 0.0  # not known
            failed = errors > allowed
            found.rejected += int(failed.sum())
            found.evaluations += EVALUATIONS * int(failed.sum())
            good = int(failed.argmax()) if failed.any() else done
            if good == done or attempt == _ATTEMPTS:
                break
            plan = smaller(plan, errors, allowed).until(self._most)
        if good == 0:
            control.size = 0.5 * float(plan.sizes[0])
        steps = FLOW_ROWS * good
        kept = replace(settled, outputs=settled.outputs.until(steps), steps=steps)
        return plan.until(good), kept, errors[:good], slopes[:good]
