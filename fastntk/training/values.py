"""What the less simple settings of a training run may be: names of metrics, layers, widths, steps and times."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.model.words import FLAT
from fastntk.results import METRICS

LAYERS = ("hidden", "output", "all", *FLAT)


def checked_metrics(metrics: str | Iterable[str], name: str) -> tuple[str, ...]:
    """Names in the order of `METRICS`; "all" takes all that there are at the depth, which is not known here."""
    if metrics in ("all", ("all",)):
        return ("all",)
    if not isinstance(metrics, Iterable):
        raise TypeError(f"{name} must be 'all' or names of metrics, got {metrics!r}")
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for metric in names:
        if metric not in METRICS:
            known = ", ".join(map(repr, METRICS))
            raise ValueError(f"{name} must be 'all' or some of {known}, got {metric!r}")
    return tuple(metric for metric in METRICS if metric in names)


def checked_layers(layers: str | int | Iterable[int], name: str) -> str | tuple[int, ...]:
    """A word, or numbers of layers, of which the depth says how many there are."""
    if isinstance(layers, str):
        return checks.choice(layers, name, LAYERS)
    return tuple(checks.distinct_integers(layers if isinstance(layers, Iterable) else (layers,), name, 1))


def checked_width(width: int | Iterable[int], name: str) -> int | tuple[int, ...]:
    """One width for all hidden layers, or one for each."""
    if isinstance(width, Iterable) and not isinstance(width, (str, bytes)):
        return tuple(checks.integer(value, name, 1) for value in width)
    return checks.integer(width, name, 1)


def checked_steps(steps: Iterable[int], name: str) -> tuple[int, ...]:
    """Distinct steps, ascending; there may be none."""
    if isinstance(steps, str) or not isinstance(steps, Iterable):
        raise TypeError(f"{name} must be a list of steps, got {steps!r}")
    return tuple(sorted({checks.integer(step, name, 0) for step in steps}))


def checked_times(times: npt.ArrayLike, name: str) -> tuple[float, ...]:
    """A vector of finite numbers, at least one."""
    found: list[float] = checks.array(times, name, 1, np.float64).tolist()
    return tuple(found)
