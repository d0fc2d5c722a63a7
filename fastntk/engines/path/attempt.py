"""A run by its path, given up where windows become so short that steps one by one are cheaper."""

import pathlib
import shutil
from collections.abc import Callable

import numpy as np

from fastntk.distributed import Workers
from fastntk.engines.path.kept_parts import KeptParts, Stale
from fastntk.engines.path.meter import Meter
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounds import Unreachable
from fastntk.engines.path.solution import Path
from fastntk.engines.path.spread import Spread
from fastntk.engines.path.teams import Here, Team, cuts
from fastntk.engines.path.windows import solve
from fastntk.losses import Loss
from fastntk.model.network import TwoLayerReLU
from fastntk.optimizers import Optimizer

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
    report: Callable[[int], object] = lambda _: None,
    folder: pathlib.Path | None = None,
) -> Path:
    """The path of full-batch descent of the first layer from a network; workers follow its parts if there are several.

    `report` is told how many steps are done, or as good as done.  With a folder, parts that are followed here are kept
    there after each of their steps, and are found there when the same run begins again.

    Raises
    ------
    Slow
        If the windows have fewer than ``least`` steps on average, or squares of steps overflow.
    """
    points = np.ascontiguousarray(X, np.float64)
    problem = PathProblem(points, labels, objective, optimizer, lr, steps, np.asarray(net.a), net.weights)
    with np.errstate(over="ignore"):
        size = lr * float(problem.sizes.max()) * max(1.0, float(np.abs(labels).max()))
    if not size < float(np.finfo(problem.dtype).max) ** 0.5:
        raise Slow(f"steps of size {size:.3g} overflow when they are squared")
    windows = 0

    def judge(done: int) -> None:
        nonlocal windows
        windows += 1
        if windows >= _WINDOWS and done < least * windows and done < steps:
            raise Slow(f"it needed {windows} windows for the first {done} steps")

    with np.errstate(over="ignore", invalid="ignore"):  # shows in the loss
        team: Team = Here(problem)
        if workers is not None and len(cuts(net.width)) > 1:
            team = Spread(problem, net, workers)
        elif folder is not None and len(cuts(net.width)) > 1:
            team = KeptParts(problem, folder)
        team.meter = Meter(report)
        try:
            return solve(problem, judge, team)
        except Stale:
            assert folder is not None
            shutil.rmtree(folder)
            return attempt(X, labels, net, objective, optimizer, lr, steps, least, workers, report, folder)
        except Unreachable:
            raise Slow(f"steps of size {size:.3g} are beyond what it can bound") from None
