"""A path in windows: each starts from the network that the one before ends with."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastntk.compilation.threads import one_blas_thread
from fastntk.engines.path.momentum import velocity_after
from fastntk.engines.path.outputs import Outputs, Recursion
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounds import Settled, Uncovered, settle
from fastntk.engines.path.solution import Path, Window, WindowLog
from fastntk.engines.path.spread import Spread
from fastntk.engines.path.start import Start, begin
from fastntk.engines.path.teams import Here, Team
from fastntk.losses import explosion

_SAMPLE = 512  # neurons that tell how far those of the whole network will move
_DEVIATIONS = 9.0  # of the displacements, within which entries are kept


class Unreachable(Exception):
    """Numbers of a size at which no reach covers the path."""


def reach_for(problem: PathProblem, E: np.ndarray) -> np.ndarray:
    """How near zero entries must start to be kept: generous, and checked afterwards."""
    lengths = np.linalg.norm(E, axis=1)
    typical = 0.5 * _DEVIATIONS * lengths.max() / np.sqrt(problem.n)
    return 1.2 * min(typical, lengths.max()) * problem.sizes


def linear_path(
    problem: PathProblem, start: Start, push: np.ndarray, velocity: np.ndarray, steps: int, ceiling: float
) -> tuple[Recursion, Outputs, np.ndarray]:
    """The recursion of a window, and its outputs and coefficients if no pattern changed."""
    recursion = Recursion(problem, start, push, ceiling)
    outputs = recursion(steps, None)
    return recursion, outputs, problem.course(outputs.e[:-1], velocity)


def first_reach(problem: PathProblem) -> np.ndarray:
    """A guess of the reach from the network of the first neurons, whose outputs are as large."""
    sample = problem.part(min(problem.m, _SAMPLE))
    start = begin(sample, problem.weights, np.zeros(problem.n))
    still = np.zeros(problem.n)
    _, _, E = linear_path(sample, start, still, still, problem.steps, np.inf)
    return reach_for(problem, E)


def solve(
    problem: PathProblem, report: Callable[[int], object] = lambda _: None, team: Team | None = None
) -> Path:
    """All steps, or those up to an explosion of the loss; `team` follows the neurons, by default in this process.

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
    path = Path(problem, functools.partial(team.windows, problem))
    if isinstance(team, Spread):
        path.again = functools.partial(repeated, problem, team.history)
    velocity = np.zeros(problem.n)
    horizon, ceiling, size = problem.steps, np.inf, 0.0
    reach = first_reach(problem)
    while True:
        done = path.steps if path.logs else 0
        start, push = team.begin(problem, reach)
        if not path.logs:
            loss, e = problem.objective.evaluate(start.u, problem.labels)
            ceiling, size = explosion(problem.objective, loss, problem.labels), float(np.abs(e).max())
        steps = min(horizon, problem.steps - done)
        recursion, linear, E = linear_path(problem, start, push, velocity, steps, ceiling)
        try:
            settled = settle(problem, linear, recursion, size, team.follow)
        except Uncovered:
            wider = np.maximum(2.0 * reach, reach_for(problem, E))
            if not (np.isfinite(wider).all() and (wider > reach).any()):
                raise Unreachable from None
            reach = wider
            continue
        path.logs.append(_closed(team, done, settled))
        report(path.steps)
        if path.exploded or path.steps == problem.steps:
            return path
        horizon = 2 * settled.steps
        if problem.optimizer.momentum:
            velocity = velocity_after(problem, settled.outputs.e, velocity)


def repeated(problem: PathProblem, history: list[tuple[str, tuple[Any, ...]]]) -> list[Window]:
    """The windows of a path whose parts were followed elsewhere, by the same steps here."""
    team = Here(problem)
    with one_blas_thread():
        for name, arguments in history:
            team.do(name, *arguments)
    return team.windows(problem)


def _closed(team: Team, done: int, settled: Settled) -> WindowLog:
    """The end of a window."""
    share, last = team.do("close", settled.steps), settled.last
    found = {
        "steps": settled.steps, "rounds": settled.rounds, "rank": last.swept.rank, "candidates": last.candidates,
        "events": int(share.added["events"]), "last_change": settled.change, "rounding": last.swept.doubt,
        "within_rounding": last.swept.within,
    }  # fmt: skip
    return WindowLog(done, settled.outputs, share.added["net"], share.most["drift"], found)
