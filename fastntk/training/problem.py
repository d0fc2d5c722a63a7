"""What a run begins with: whatever is wrong with it is found here, before the work."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy.typing as npt

from fastntk.device.arrays import engine_for, on_host, together
from fastntk.engines import Choice, choose
from fastntk.model.network import TwoLayerReLU, initial_network
from fastntk.training.samples import Samples
from fastntk.training.settings import Settings

__all__ = ["Problem", "on_samples", "prepare", "require_suitable"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A run that can begin.

    Attributes
    ----------
    samples : Samples
    settings : Settings
    start : TwoLayerReLU
        In host memory.
    drawn : bool
        Whether the start was drawn for this run, whose weights may then take its place.
    choice : Choice
        The engine.
    """

    samples: Samples
    settings: Settings
    start: TwoLayerReLU
    drawn: bool
    choice: Choice


def prepare(X: npt.ArrayLike, y: npt.ArrayLike, net: TwoLayerReLU | None, settings: Settings) -> Problem:
    """A run on data, and from a network if one is given, that live on the host or together on a GPU."""
    if together(**{"X": X, "y": y, "net.W": getattr(net, "W", None)}):
        settings = replace(settings, engine=engine_for(settings.engine, X=X))
        if isinstance(net, TwoLayerReLU):
            net = TwoLayerReLU(on_host(net.W), on_host(net.a))
    return on_samples(Samples.of(X, y), net, settings)


def on_samples(samples: Samples, net: TwoLayerReLU | None, settings: Settings) -> Problem:
    """The same on samples that are checked, which runs may share."""
    require_suitable(settings, samples)
    start, drawn = initial_network(
        samples.X, settings.width, net, settings.seed, settings.dtype, settings.kappa, settings.paired
    )
    samples.require_range(start.W.dtype)
    n, d = samples.X.shape
    choice = choose(n, d, start.width, start.W.dtype, settings.engine, settings.motion)
    return Problem(samples, settings, start, drawn, choice)


def require_suitable(settings: Settings, samples: Samples) -> None:
    """ValueError if a batch has more samples than there are, or labels do not suit the loss."""
    settings.require_samples(len(samples.X))
    settings.loss.check(samples.y)
