"""A run before it begins: whatever is wrong with it is found here, before the work."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import require_memory
from fastntk.device.arrays import engine_for, on_host, on_one_gpu
from fastntk.engines.choice import Choice, Course, choose
from fastntk.engines.deep import DeepEngine
from fastntk.engines.path import PathEngine
from fastntk.model.deep import DeepReLU
from fastntk.model.network import TwoLayerReLU, checked_draws, given_width, initial_network
from fastntk.model.streamed import Drawn
from fastntk.training.samples import Samples
from fastntk.training.settings import Settings

__all__ = ["Problem", "choice_for", "on_samples", "on_workers", "prepare", "require_suitable", "stepwise"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A run that can begin.

    Attributes
    ----------
    samples : Samples
    settings : Settings
    start : TwoLayerReLU or DeepReLU
        In host memory.
    drawn : bool
        Whether the start was drawn for this run, whose weights may then take its place.
    choice : Choice
        The engine.
    """

    samples: Samples
    settings: Settings
    start: TwoLayerReLU | DeepReLU
    drawn: bool
    choice: Choice


def prepare(
    X: npt.ArrayLike, y: npt.ArrayLike, net: TwoLayerReLU | DeepReLU | None, settings: Settings
) -> Problem:
    """A run on data, and from a network if one is given, that live on the host or together on a GPU."""
    if on_one_gpu(**{"X": X, "y": y, "net.W": getattr(net, "a", None)}):
        settings = replace(settings, engine=engine_for(settings.engine, X=X))
        if isinstance(net, TwoLayerReLU):
            net = TwoLayerReLU(on_host(net.W), on_host(net.a))
    return on_samples(Samples.of(X, y), net, settings)


def choice_for(samples: Samples, settings: Settings, width: int, dtype: np.dtype) -> Choice:
    """The engine of a run of a network with one hidden layer; "auto" looks at the memory of this machine."""
    course = None
    if settings.engine == "auto" and settings.full_descent:
        course = Course(settings.steps, _speed(samples, settings))
    n, d = samples.X.shape
    return choose(n, d, width, dtype, settings.engine, settings.motion, course)


def on_samples(
    samples: Samples, net: TwoLayerReLU | DeepReLU | None, settings: Settings, choice: Choice | None = None
) -> Problem:
    """The same on samples that are checked, which runs may share, perhaps by an engine that was chosen elsewhere."""
    require_suitable(settings, samples)
    if settings.deep or isinstance(net, DeepReLU):
        return _deep(samples, net, settings)
    assert not isinstance(settings.width, tuple)
    n, d = samples.X.shape
    width = given_width(settings.width, net)
    dtype = settings.dtype if net is None else net.a.dtype
    samples.require_range(dtype)
    choice = choice or choice_for(samples, settings, width, dtype)
    if choice.name == PathEngine.name:
        require_memory(
            PathEngine.bytes_needed(n, d, width, dtype.itemsize),
            f"the path engine for n={n} samples and m={width} neurons",
        )
    start: TwoLayerReLU
    if choice.name == PathEngine.name and net is None:
        drawn = True
        draws = checked_draws(width, settings.seed, settings.dtype, settings.kappa, settings.paired)
        start = Drawn(draws, d, settings.dtype).network(width)
    else:
        start, drawn = initial_network(
            samples.X, settings.width, net, settings.seed, settings.dtype, settings.kappa, settings.paired
        )
    return Problem(samples, settings, start, drawn, choice)


def on_workers(settings: Settings, net: TwoLayerReLU | DeepReLU | None) -> Settings:
    """The same run by the engine whose parts workers can follow; ValueError if that cannot make it."""
    if settings.engine not in ("auto", PathEngine.name) or settings.deep or isinstance(net, DeepReLU):
        got = (
            "several hidden layers" if settings.engine in ("auto", "path") else f"engine={settings.engine!r}"
        )
        raise ValueError(
            f"client: one run is spread over workers by engine='path', one hidden layer, got {got}"
        )
    return replace(settings, engine=PathEngine.name)


def _deep(samples: Samples, net: TwoLayerReLU | DeepReLU | None, settings: Settings) -> Problem:
    """The same for several hidden layers, which have one engine."""
    d, width = samples.X.shape[1], settings.width
    if (net is None) == (width is None):
        got = "neither" if net is None else "both"
        raise ValueError(f"exactly one of width and net must be given, got {got}")
    if width is not None:
        kind, scale = settings.dtype, settings.scale
        found = DeepReLU.init(d, width, settings.depth, settings.seed, kind, scale, settings.output)
    elif isinstance(net, DeepReLU):
        found = net
        checks.same_columns(samples.X, "X", net.W[0], "net.W[0]")
    else:
        raise TypeError(
            f"net must be a DeepReLU with depth={settings.depth} and scale={settings.scale:g}, "
            f"got {type(net).__name__}"
        )
    for name in ("depth", "scale"):
        if getattr(settings, name) != getattr(found, name):
            raise ValueError(
                f"{name} must be that of net, {getattr(found, name)}, got {getattr(settings, name)}"
            )
    samples.require_range(found.dtype)
    choice = Choice(DeepEngine.name, f"{found.depth} hidden layers: products of BLAS on the weights")
    return Problem(samples, settings, found, net is None, choice)


def stepwise(problem: Problem, reason: str) -> Problem:
    """The same run by an engine that takes one step after the other."""
    n, d = problem.samples.X.shape
    start = problem.start
    chosen = choose(n, d, start.width, start.a.dtype, motion=problem.settings.motion)
    return replace(problem, choice=Choice(chosen.name, f"{reason}; {chosen.reason}"))


def _speed(samples: Samples, settings: Settings) -> float:
    """The step size over about the largest stable one: half of ``X X^T`` bounds the limit of H."""
    largest = settings.loss.curvature * samples.stretch / 2.0
    return settings.lr * largest / settings.optimizer.stability


def require_suitable(settings: Settings, samples: Samples) -> None:
    """ValueError if a batch has more samples than there are, or labels do not suit the loss."""
    settings.require_samples(len(samples.X))
    settings.loss.check(samples.y)
