"""How a run can end: its steps are taken, its loss explodes, or a flow reaches its end or misses its tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastntk.base.checks import all_finite
from fastntk.base.errors import DivergenceError
from fastntk.engines.step_sizes import Solution
from fastntk.model.deep import DeepReLU
from fastntk.model.network import TwoLayerReLU
from fastntk.results import Run
from fastntk.training.settings import Settings

__all__ = ["Explosion", "Finished", "Outcome", "divergence"]


@dataclass(frozen=True)
class Finished:
    """All steps of gradient descent were taken."""

    step: int
    overflow = False

    def record(self) -> dict[str, Any]:
        """Where it ended, JSON-able."""
        return {"stopped_at": self.step}


@dataclass(frozen=True)
class Explosion:
    """A loss that can only have been reached by diverging."""

    step: int
    loss: float

    @property
    def overflow(self) -> bool:
        """Whether the loss was no finite number before anything moved."""
        return self.step == 0

    def record(self) -> dict[str, Any]:
        """Where it ended, JSON-able."""
        return {"stopped_at": self.step}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run leaves behind.

    Attributes
    ----------
    end : Finished, Explosion or Solution
    net : TwoLayerReLU, DeepReLU or None
        Where it ended; none after an explosion.
    engine : dict
        Which one it was and why, JSON-able.
    series : dict
        The log, as the fields of a `Run`.
    limit : dict or None
        Eigenvalues of the limit kernel, where the metrics want them.
    largest : float or None
        lambda_max(H(0)), after an explosion only.
    threads : int
    seconds, compile_seconds : float
        Of the work, and of the compiler, apart.
    """

    end: Finished | Explosion | Solution
    net: TwoLayerReLU | DeepReLU | None
    engine: dict[str, Any]
    series: dict[str, Any]
    limit: dict[str, Any] | None
    largest: float | None
    threads: int
    seconds: float
    compile_seconds: float

    def overflowed(self) -> str | None:
        """The name of a series with an entry that is no finite number; NaN all along stands for a layer at rest."""
        for name, values in self.series.items():
            if not isinstance(values, np.ndarray):
                continue
            told = values if values.ndim == 1 else values[:, ~np.isnan(values).all(axis=0)]
            if not all_finite(told):
                return name
        return None


def divergence(run: Run, end: Explosion, settings: Settings, largest: float) -> DivergenceError:
    """The error for a loss that exploded, with the largest step that is stable for that largest eigenvalue of H(0)."""
    curvature, stability = settings.loss.curvature, settings.optimizer.stability
    step = (
        stability / (curvature * largest) if largest > 0.0 else math.inf
    )  # H(0) is 0 where squares underflow
    bound = "lambda_max(H(0))" if curvature == 1.0 else f"({curvature:g} lambda_max(H(0)))"
    return DivergenceError(
        f"the loss reached {end.loss:.3g} at step {end.step} with lr={settings.lr:g}; the largest stable "
        f"step is about {stability:.4g} / {bound} = {step:.3g}",
        run,
        end.step,
        step,
    )
