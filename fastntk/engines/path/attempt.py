"""A run by its path, given up where windows become so short that steps one by one are cheaper."""

import functools
import pathlib
import shutil
from collections.abc import Callable, Sequence

import numpy as np

from fastntk.distributed import Workers
from fastntk.engines.path.flows import solve_flow
from fastntk.engines.path.kept_parts import KeptParts, Stale
from fastntk.engines.path.meter import Meter
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounds import Unreachable
from fastntk.engines.path.solution import Path
from fastntk.engines.path.spread import Spread
from fastntk.engines.path.teams import Here, Team, cuts
from fastntk.engines.path.windows import solve
from fastntk.engines.step_sizes import EVALUATIONS, rounding_of
from fastntk.losses import Loss
from fastntk.matrices.inner_products import rounded
from fastntk.model.network import TwoLayerReLU
from fastntk.optimizers import GradientDescent, Optimizer

_BLOCK = 2**13  # neurons whose weights are summed at once
_WINDOWS = 3  # that are waited for before a path is judged


class Slow(Exception):
    """Too many windows, or numbers too large to work with; it says which."""


def attempt(
    X: np.ndarray,
    labels: np.ndarray,
    net: TwoLayerReLU,
    objective: Loss,
    optimizer: Optimizer,
    lr: float,
    steps: int,
    least: float,
    workers: Workers | None = None,
    folder: pathlib.Path | None = None,
    report: Callable[[int], object] = lambda _: None,
) -> Path:
    """The path of full-batch descent of the first layer from a network; workers follow its parts if there are several.

    With a folder, parts that are followed here are kept there after each of their steps, and are found there when the
    same run begins again.  `report` is told how many steps are done, or as good as done.

    Raises
    ------
    Slow
        If the windows have fewer than ``least`` steps on average, or squares of steps overflow.
    """
    problem = _problem(X, labels, net, objective, optimizer, lr, steps)
    follow = functools.partial(solve, problem)
    return _tried(follow, problem, lr, net, workers, folder, least, report)


def attempt_flow(
    X: np.ndarray,
    labels: np.ndarray,
    net: TwoLayerReLU,
    objective: Loss,
    times: Sequence[float],
    tolerance: float,
    least: float,
    workers: Workers | None = None,
    folder: pathlib.Path | None = None,
) -> Path:
    """The same of gradient flow; ``least`` counts gradients."""
    problem = _problem(X, labels, net, objective, GradientDescent(), 0.0, 0)
    with np.errstate(over="ignore"):  # shows in the outputs
        squares = sum(
            float(np.square(net.weights(first, min(first + _BLOCK, net.width)), dtype=np.float64).sum())
            for first in range(0, net.width, _BLOCK)
        )
        rounding = rounding_of(problem.X, squares**0.5, problem.a)
    follow = functools.partial(solve_flow, problem, times, tolerance, rounding)
    return _tried(follow, problem, 1.0, net, workers, folder, least / EVALUATIONS)


def _problem(
    X: np.ndarray, labels: np.ndarray, net: TwoLayerReLU, objective: Loss, optimizer: Optimizer, lr: float, steps: int
) -> PathProblem:  # fmt: skip
    points = rounded(X, net.a.dtype)  # those that the first outputs are of
    return PathProblem(points, labels, objective, optimizer, lr, steps, np.asarray(net.a), net.weights)


class _Judge:
    """Counts windows, and gives up where they are too short."""

    def __init__(self, least: float) -> None:
        self._least, self._windows = least, 0

    def __call__(self, done: int) -> None:
        self._windows += 1
        if self._windows >= _WINDOWS and done < self._least * self._windows:
            raise Slow(f"it needed {self._windows} windows for the first {done} steps")


def _tried(
    solver: Callable[[Callable[[int], object], Team], Path], problem: PathProblem, step: float, net: TwoLayerReLU,
    workers: Workers | None, folder: pathlib.Path | None, least: float,
    report: Callable[[int], object] = lambda _: None,
) -> Path:  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):  # shows in the loss
        size = step * float(problem.sizes.max()) * max(1.0, float(np.abs(problem.labels).max()))
        if not size < float(np.finfo(problem.dtype).max) ** 0.5:
            raise Slow(f"steps of size {size:.3g} overflow when they are squared")
        team: Team = Here(problem)
        if len(cuts(net.width)) > 1:
            if workers is not None:
                team = Spread(problem, net, workers)
            elif folder is not None:
                team = KeptParts(problem, folder)
        team.meter = Meter(report)
        try:
            return solver(_Judge(least), team)
        except Unreachable as cause:
            raise Slow(str(cause) or f"steps of size {size:.3g} are beyond what it can bound") from None
        except Stale:
            assert folder is not None
            shutil.rmtree(folder)
            return _tried(solver, problem, step, net, workers, folder, least, report)
