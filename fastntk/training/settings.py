"""The settings of a training run: what may be given, its defaults, checks and words, and the record of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from fastntk import losses, optimizers
from fastntk.base import checks
from fastntk.engines.motion import CHOICES, Motion
from fastntk.losses import LOSSES, Loss
from fastntk.model.words import FLAT, OUTPUTS, checked_widths, layer_numbers
from fastntk.optimizers import OPTIMIZERS, Optimizer
from fastntk.results import FLAT_METRICS, METRICS
from fastntk.training.options import (
    Check,
    apply_checks,
    at_least,
    flag,
    known_options,
    named,
    one_of,
    option,
    optional,
    positive,
)
from fastntk.training.values import (
    LAYERS,
    checked_layers,
    checked_metrics,
    checked_steps,
    checked_times,
    checked_width,
)

__all__ = ["Options", "Settings", "SharedOptions", "completed"]

_FLAT_ONLY = ("engine", "dynamics", "kappa", "paired")  # what engines of two layers offer
_INTERVALS = 100  # between the logged times of a flow


class SharedOptions(TypedDict, total=False):
    """What all runs of a sweep have in common, as it may be given."""

    depth: int
    scale: float
    output: str
    layers: str | int | Iterable[int]
    loss: str | Loss
    optimizer: str | Optimizer
    batch_size: int | None
    dynamics: str
    t_final: float | None
    times: npt.ArrayLike | None
    tolerance: float
    metrics: str | Iterable[str]
    every: int
    diagnostics: bool
    snapshots: Iterable[int]
    engine: str
    dtype: npt.DTypeLike
    kappa: float
    paired: bool


class Options(SharedOptions, total=False):
    """The options of one run."""

    width: int | Iterable[int] | None
    steps: int
    lr: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All of a run but its data and its start: checked, and converted to what the values stand for.

    The defaults are those of the class: ``Settings.lr``.  To add a setting, add its type to the options above and its
    field here.  The words are those of the command line; `fastntk.train` says more.

    Examples
    --------
    >>> Settings(steps=3, metrics="drift").record()["metrics"], Settings.lr
    (['drift'], 0.1)
    """

    width: int | tuple[int, ...] | None = option(
        None, optional(Check(checked_width, least=1)), "Number of neurons of a hidden layer."
    )
    depth: int = option(1, at_least(1), "Number of hidden layers.")
    scale: float = option(1.0, positive, "Of the activation; sqrt(2) keeps its length from layer to layer.")
    output: str = option(
        "signs", one_of(OUTPUTS), "Weights a of the output, several hidden layers: -1 and +1, or normal."
    )
    steps: int = option(100, at_least(0), "Gradient steps.", only="descent")
    lr: float = option(0.1, positive, "Step size.", only="descent")
    seed: int = option(0, at_least(0), "Of the initial network and the batches.")
    layers: str | tuple[int, ...] = option(
        "hidden",
        Check(checked_layers, LAYERS, least=1),
        "Layers that are trained: a word, or numbers such as 1,3, of which depth + 1 is the output.",
    )
    loss: Loss = option(
        "squared",
        named(losses.resolve, LOSSES),
        "logistic takes labels -1 and +1; huber is quadratic, then linear.",
    )
    optimizer: Optimizer = option(
        "gd",
        named(optimizers.resolve, OPTIMIZERS),
        "Plain gradient descent, or with momentum.",
        only="descent",
    )
    batch_size: int | None = option(
        None,
        optional(at_least(1)),
        "Samples of a step, drawn anew every epoch. Default: all.",
        only="descent",
    )
    dynamics: str = option(
        "descent",
        one_of(("descent", "flow")),
        f"Gradient descent, or gradient flow up to --t-final, logged at {_INTERVALS + 1} times.",
    )
    t_final: float | None = option(None, optional(positive), "Of gradient flow: where it ends.", only="flow")
    times: tuple[float, ...] | None = option(
        None, optional(Check(checked_times, many=True)), "Of gradient flow: when it is logged.", only="flow"
    )
    tolerance: float = option(
        1e-3,
        positive,
        "Of gradient flow: error of the outputs in a step, relative to the residual.",
        only="flow",
    )
    metrics: tuple[str, ...] = option(
        ("loss", "flips", "drift"),
        Check(checked_metrics, METRICS, many=True),
        f"all, or some of {','.join(METRICS)}.",
    )
    every: int = option(1, at_least(1), "Log every so many steps.", only="descent")
    diagnostics: bool = option(False, flag, "Watch which patterns flip, when and how often.")
    snapshots: tuple[int, ...] = option(
        (),
        Check(checked_steps, least=0, many=True),
        "Steps such as 0,10,100 at which H(k) is kept.",
        only="descent",
    )
    engine: str = option(
        "auto", one_of(CHOICES), "What trains; path: all steps at once; cuda: dual or primal on a GPU."
    )
    dtype: np.dtype[Any] = option(
        "float32", Check(checks.floating_dtype, ("float32", "float64")), "Precision of the network."
    )
    kappa: float = option(1.0, positive, "Scale of the initial first layer.")
    paired: bool = option(False, flag, "Neurons in pairs that cancel: all outputs start at 0.")

    def __post_init__(self) -> None:
        apply_checks(self)
        self._require_own_dynamics()
        self._settle_layers()
        self._require_path()
        if self.snapshots and self.snapshots[-1] > self.steps:
            raise ValueError(
                f"snapshots must be at most the number of steps ({self.steps}), got {self.snapshots[-1]}"
            )
        if self.dynamics == "flow":
            object.__setattr__(self, "times", self._logged_times())

    @classmethod
    def of(cls, function: Callable[..., Any], options: Mapping[str, Any]) -> Settings:
        """The settings that the keyword arguments of a function ask for."""
        known_options(function, options)
        return cls(**options)

    def _require_own_dynamics(self) -> None:
        """ValueError for an argument of the other dynamics that was not left alone."""
        for part in fields(self):
            only, value = part.metadata["only"], getattr(self, part.name)
            if only in (None, self.dynamics) or value == part.metadata["check"](part.default, part.name):
                continue
            got = "it" if only == "flow" else repr(getattr(value, "name", _plain(value)))
            raise ValueError(
                f"{part.name} is for dynamics={only!r}, got {got} with dynamics={self.dynamics!r}"
            )

    @property
    def deep(self) -> bool:
        """Whether the network is more than the two layers that most settings are for."""
        return self.depth > 1 or self.scale != 1.0

    def _settle_layers(self) -> None:
        """Name the layers and the metrics as the depth has them; ValueError for a setting that it does not have."""
        numbers = layer_numbers(self.layers, self.depth)
        hidden, output = tuple(range(1, self.depth + 1)), (self.depth + 1,)
        words = ("hidden", "output", "all") if self.deep else tuple(FLAT)
        names = dict(zip((hidden, output, hidden + output), words, strict=True))
        object.__setattr__(self, "layers", names.get(numbers, numbers))
        if self.metrics == ("all",):
            object.__setattr__(self, "metrics", METRICS if self.deep else FLAT_METRICS)
        if isinstance(self.width, tuple):
            widths = checked_widths(self.width, self.depth)
            object.__setattr__(self, "width", widths if len(set(widths)) > 1 else widths[0])
        if not self.deep:
            if "drift_norm" in self.metrics:
                raise ValueError("metrics may name 'drift_norm' at a depth above 1 only, got it at depth 1")
            if self.output != OUTPUTS[0]:
                raise ValueError(
                    f"output must be {OUTPUTS[0]!r} with depth=1 and scale=1, got {self.output!r}: "
                    "give net=TwoLayerReLU(W, a) with other weights"
                )
            return
        for name in _FLAT_ONLY:
            value, default = getattr(self, name), getattr(type(self), name)
            if value != default:
                where = f"depth={self.depth} and scale={self.scale:g}"
                raise ValueError(f"{name} must be {default!r} with {where}, got {value!r}")

    def _require_path(self) -> None:
        """ValueError if the path engine is asked for what it cannot do."""
        if self.engine == "path" and (self.layers != "first" or self.batch_size is not None):
            kept = {"layers": "first", "batch_size": None}
            name, got = next(
                (name, getattr(self, name)) for name in kept if getattr(self, name) != kept[name]
            )
            raise ValueError(
                "engine='path' trains the first layer on all samples: use engine='dual' or 'auto' "
                f"for {name}={got!r}"
            )

    @property
    def full_descent(self) -> bool:
        """Whether it is descent of the first layer on all samples, whose steps can be made at once."""
        return self.layers == "first" and self.batch_size is None and self.dynamics == "descent"

    def _logged_times(self) -> tuple[float, ...]:
        """When a flow is logged, from 0 to its end."""
        if self.t_final is None:
            raise ValueError("t_final must be given for dynamics='flow'")
        if self.times is None:
            return tuple(np.linspace(0.0, self.t_final, _INTERVALS + 1).tolist())
        found = np.array(self.times)
        if found[0] < 0.0 or found[-1] > self.t_final or (np.diff(found) < 0.0).any():
            raise ValueError(f"times must be ascending from 0 or above to at most t_final = {self.t_final:g}")
        return tuple(np.union1d(found, [0.0, self.t_final]).tolist())

    def require_samples(self, n: int) -> None:
        """ValueError if a batch is to have more samples than there are."""
        if self.batch_size is not None and self.batch_size > n:
            raise ValueError(f"batch_size must be at most the number of samples ({n}), got {self.batch_size}")

    @property
    def motion(self) -> Motion:
        """What an engine of two layers has to move, and how."""
        assert isinstance(self.layers, str)
        return Motion(self.layers, self.optimizer, self.dynamics == "flow")

    @property
    def goal(self) -> int:
        """What progress counts up to: steps, or logged times of a flow after the first."""
        return self.steps if self.times is None else len(self.times) - 1

    def logs(self, step: int) -> bool:
        """Whether a step of descent is logged."""
        return step % self.every == 0 or step == self.steps

    def record(self) -> dict[str, Any]:
        """What the runs of a sweep have in common, JSON-able: all that the dynamics uses but width and seed."""
        used = [part.name for part in fields(self) if part.metadata["only"] in (None, self.dynamics)]
        if self.dynamics == "descent":
            used.remove("dynamics")  # folders that are older than gradient flow do not name it
        return {name: _plain(getattr(self, name)) for name in used if name not in ("width", "seed")}


def completed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record completed by the defaults of settings that are younger than it; no record stays none."""
    defaults = {"dynamics": Settings.dynamics, **Settings().record()} if record else {}
    return {**record, **{name: value for name, value in defaults.items() if name not in record}}


def _plain(value: Any) -> Any:
    """A setting as JSON holds it."""
    if isinstance(value, (Loss, Optimizer)):
        return value.record()
    if isinstance(value, np.dtype):
        return value.name
    return list(value) if isinstance(value, tuple) else value
