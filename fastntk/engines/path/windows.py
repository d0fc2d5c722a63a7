"""A path in windows: each starts from the network that the one before ends with."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastntk.compilation.threads import one_blas_thread
from fastntk.engines.path.base import Base
from fastntk.engines.path.outputs import Recursion
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounds import Settled, settle
from fastntk.engines.path.schedule import Schedule
from fastntk.engines.path.solution import Path, WindowLog
from fastntk.engines.path.spread import Spread
from fastntk.engines.path.start import Start, begin, reach_for
from fastntk.engines.path.teams import Here, Team
from fastntk.losses import explosion

SAMPLE = 512  # neurons that tell how far those of the whole network will move


def first_reach(problem: PathProblem, plan: Callable[[PathProblem, Start], Schedule]) -> np.ndarray:
    """A guess of the reach from the network of the first neurons, whose outputs are as large, along steps for it."""
    sample, still = problem.part(min(problem.m, SAMPLE)), np.zeros(problem.n)
    start = begin(sample, problem.weights, still)
    schedule = plan(sample, start)
    outputs = Recursion(sample, start, still, np.inf)(schedule, None)
    return reach_for(problem, schedule.course(outputs.e[:-1], still))


def solve(
    problem: PathProblem, judge: Callable[[int], object] = lambda _: None, team: Team | None = None
) -> Path:
    """All steps, or those up to an explosion of the loss; `team` follows the neurons, by default in this process.

    `judge` is told after each window but the last how many steps are done.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.engines.path import PathProblem, solve
    >>> from fastntk.losses import Squared
    >>> from fastntk.optimizers import GradientDescent
    >>> W, a = np.array([[3.0]]), np.array([1.0])
    >>> problem = PathProblem(
    ...     np.array([[1.0]]), np.array([1.0]), Squared(), GradientDescent(), 0.5, 2, a, lambda i, j: W[i:j]
    ... )
    >>> solve(problem).loss
    array([2.   , 0.5  , 0.125])
    """
    team = Here(problem) if team is None else team
    path = path_of(problem, team)
    horizon, ceiling, size = problem.steps, np.inf, 0.0
    reach = first_reach(problem, lambda *_: problem.schedule(problem.steps))
    while True:
        done = path.steps if path.logs else 0
        team.meter.window(done, min(horizon, problem.steps - done))
        start, push = team.begin(problem, reach)
        if not path.logs:
            loss, e = problem.objective.evaluate(start.u, problem.labels)
            ceiling, size = explosion(problem.objective, loss, problem.labels), float(np.abs(e).max())
        schedule = problem.schedule(min(horizon, problem.steps - done))
        recursion = Recursion(problem, start, push, ceiling)
        settled = settle(problem, schedule, recursion(schedule, None), recursion, size, team.follow)
        path.logs.append(closed(team, done, schedule, settled))
        if path.exploded or path.steps == problem.steps:
            return path
        judge(path.steps)
        horizon = 2 * settled.steps


def path_of(problem: PathProblem, team: Team) -> Path:
    """A path that the team will follow: nothing is solved yet."""
    path = Path(problem, functools.partial(team.windows, problem), functools.partial(team.end, problem))
    if isinstance(team, Spread):
        path.again = functools.partial(repeated, problem, team.history)
    return path


def repeated(problem: PathProblem, history: list[tuple[str, tuple[Any, ...]]]) -> Base:
    """How far the weights came on a path whose parts were followed elsewhere, by the same steps here."""
    team = Here(problem)
    with one_blas_thread():
        for name, arguments in history:
            team.do(name, *arguments)
    return team.end(problem)


def closed(team: Team, done: int, schedule: Schedule, settled: Settled) -> WindowLog:
    """The end of a window."""
    last = settled.last
    share = team.do("close", schedule.until(settled.steps), last.swept.leaders.best)
    found = {
        "steps": settled.steps, "rounds": settled.rounds, "rank": last.swept.rank, "candidates": last.candidates,
        "events": int(share.added["events"]), "last_change": settled.change, "rounding": last.swept.doubt,
        "within_rounding": last.swept.within,
    }  # fmt: skip
    return WindowLog(done, settled.outputs, share.added["net"], share.most["drift"], team.sums, found)
