"""A path in windows: each starts from the network that the one before ends with."""

import functools
from collections.abc import Callable

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.coefficients import Sparse
from fastntk.engines.path.drift import drift_of
from fastntk.engines.path.momentum import Ended, Moving
from fastntk.engines.path.outputs import Outputs, Recursion
from fastntk.engines.path.problem import PathProblem, Rows
from fastntk.engines.path.rounds import Uncovered, settle
from fastntk.engines.path.solution import Path, WeightChange, Window, moved, net_of
from fastntk.engines.path.start import Start, begin
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
    problem: PathProblem, start: Start, moving: Moving, steps: int, ceiling: float
) -> tuple[Recursion, Outputs, np.ndarray]:
    """The recursion of a window, and its outputs and coefficients if no pattern changed."""
    recursion = Recursion(problem, start, moving.of_outputs(problem, start), ceiling)
    outputs = recursion(steps, None)
    return recursion, outputs, problem.course(outputs.e[:-1], moving.velocity)


def first_reach(problem: PathProblem) -> np.ndarray:
    """A guess of the reach from the network of the first neurons, whose outputs are as large."""
    sample = problem.part(min(problem.m, _SAMPLE))
    start = begin(sample, problem.weights, np.zeros(problem.n))
    _, _, E = linear_path(sample, start, Moving.still(problem.n), problem.steps, np.inf)
    return reach_for(problem, E)


def solve(problem: PathProblem, report: Callable[[int], object] = lambda _: None) -> Path:
    """All steps, or those up to an explosion of the loss.

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
    path = Path(problem)
    weights: Rows = problem.weights
    before: Ended | None = None
    horizon, ceiling, size = problem.steps, np.inf, 0.0
    reach = first_reach(problem)
    base = Base(np.empty((0, 0), np.uint8), np.zeros(problem.n), Sparse.none())
    while True:
        done = path.steps if path.windows else 0
        start = begin(problem, weights, reach, None if before is None else before.keys)
        if not path.windows:
            loss, e = problem.objective.evaluate(start.u, problem.labels)
            ceiling, size = explosion(problem.objective, loss, problem.labels), float(np.abs(e).max())
            base = Base(start.rows, np.zeros(problem.n), Sparse.none())
        moving = Moving.still(problem.n) if before is None else before.against(start.rows)
        steps = min(horizon, problem.steps - done)
        recursion, linear, E = linear_path(problem, start, moving, steps, ceiling)
        try:
            solved = settle(problem, start, moving, base, linear, recursion, size)
        except Uncovered:
            wider = np.maximum(2.0 * reach, reach_for(problem, E))
            if not (np.isfinite(wider).all() and (wider > reach).any()):
                raise Unreachable from None
            reach = wider
            continue
        net, drift = net_of(start.rows, solved, base), drift_of(problem, start, solved, moving, base)
        path.windows.append(Window(done, start, solved, moving, base, net, drift))
        report(path.steps)
        if path.exploded or path.steps == problem.steps:
            return path
        horizon = 2 * solved.steps
        made = WeightChange(problem, start, solved, moving, base, solved.steps)
        before = Ended(problem, start, solved, moving) if problem.optimizer.momentum else None
        base = base.moved(made.changed, start.rows, solved.E[-1])
        weights = functools.partial(moved, problem, made)
