"""All measurements that the statements are judged by: kernels at the start, radii, and training runs."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.base.errors import DivergenceError, ToleranceError
from fastntk.base.packing import PackedMasks, padded_width
from fastntk.distributed import Workers
from fastntk.matrices.finite import GramOfPatterns
from fastntk.model.network import TwoLayerReLU
from fastntk.model.patterns import activation_masks
from fastntk.results import Run
from fastntk.spectra import lambda_min, spectral_norm
from fastntk.theory.verification.facts import (
    Facts,
    largest_of_both,
    parallel_rows_expected,
    smallest_of_limit,
)
from fastntk.theory.verification.measurements import Measurement, measure_all
from fastntk.theory.verification.radii import radii
from fastntk.training.train import train

__all__ = ["FRACTIONS", "Evidence", "Trajectory", "gather"]

FRACTIONS = (0.25, 0.5, 0.75, 0.95)
"""Practical step sizes, as parts of the largest stable one, ``2 / lambda_max(H_inf)``."""

_MAIN = 0.5  # the part at which the kernel is followed as well
_FLOW = (
    0.1  # times the gradient steps of a run: where gradient flow ends, in units of the largest stable step
)
_JOINT = 0.5  # the same when both layers move: the kernel of the second has one large eigenvalue
_TIMES = 26  # at which a flow is logged: most intervals take one step, so more of them cost more
_NARROWEST = 64


@dataclass
class Trajectory:
    """The log of one run: squared distances and what else was followed, at the logged steps or times.

    ``solver`` tells how a flow was integrated, and ``lr`` is the step size of a descent.
    """

    width: int
    seed: int
    lr: float | None
    steps: NDArray[np.int64]
    times: NDArray[np.float64] | None
    series: dict[str, NDArray[np.float64]]
    diverged: bool
    solver: dict[str, Any] | None

    @classmethod
    def of(cls, run: Run, diverged: bool) -> Trajectory:
        """The log of a run, without the rest."""
        solver = run.provenance.get("solver")
        return cls(run.width, int(run.seed or 0), run.lr, run.steps, run.times, run.series, diverged, solver)

    @property
    def places(self) -> NDArray[Any]:
        """The logged times of a flow, the logged steps of a descent."""
        return self.steps if self.times is None else self.times

    @property
    def error(self) -> float:
        """``|y - u(0)|_2``."""
        return math.sqrt(2.0 * float(self.series["loss"][0]))

    @property
    def ratio(self) -> NDArray[np.float64]:
        """``|u(k) - y|^2 / |u(0) - y|^2``."""
        loss = self.series["loss"]
        return loss / loss[0] if loss[0] else loss

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        series = {name: values.tolist() for name, values in self.series.items()}
        head: dict[str, Any] = {"width": self.width, "seed": self.seed, "diverged": self.diverged}
        if self.times is None:
            head |= {"lr": self.lr, "steps": self.steps.tolist()}
        else:
            head |= {"solver": self.solver, "steps": self.steps.tolist(), "times": self.times.tolist()}
        return {**head, **series}


@dataclass
class Evidence:
    """Measurements by kind; `descent` is keyed by the step size as a part of the largest stable one."""

    facts: Facts
    widths: list[int]
    seeds: list[int]
    starts: list[dict[str, Any]] = field(default_factory=list)
    radii: list[dict[str, Any]] = field(default_factory=list)
    descent: dict[float, list[Trajectory]] = field(default_factory=dict)
    theory: list[Trajectory] = field(default_factory=list)
    flow: list[Trajectory] = field(default_factory=list)
    joint: list[Trajectory] = field(default_factory=list)
    with_copy: dict[str, Any] = field(default_factory=dict)

    @property
    def main(self) -> list[Trajectory]:
        """The runs whose kernel was followed."""
        return self.descent[_MAIN]

    @property
    def largest_step(self) -> float:
        """``2 / lambda_max(H_inf)``."""
        return 2.0 / self.facts.lambda_max

    @property
    def theory_step(self) -> float | None:
        """``lambda_0 / n^2``, the step size of Theorem 4.1, whose constant is not given."""
        return self.facts.lambda_0 / self.facts.n**2 if self.facts.positive else None


def gather(
    facts: Facts,
    widths: list[int],
    seeds: list[int],
    draws: int,
    steps: int,
    engine: str,
    report: Callable[[str], object],
    workers: Workers | None,
) -> Evidence:
    """Measure everything, runs by that engine; `report` is told what is being measured."""
    found = Evidence(facts, widths, seeds)
    found.with_copy = _with_copy(facts)
    flow = _flow(_FLOW * steps * found.largest_step)
    joint = _flow(_JOINT * steps * 2.0 / largest_of_both(facts.X))
    wanted = [
        Measurement("starts", f"kernels at the start, seed {seed}", _starts, (widths, seed))
        for seed in sorted({*seeds, *range(draws)})
    ]
    for width, seed in itertools.product(widths, seeds):
        if facts.positive:
            wanted.append(Measurement("radii", f"radii, width {width}, seed {seed}", _radii, (width, seed)))
        run = functools.partial(_training, width, seed, engine)
        for part in FRACTIONS:
            metrics = "all" if part == _MAIN else ("loss", "drift")
            wanted.append(run(part, metrics, steps=steps, lr=part * found.largest_step))
        wanted.append(run("flow", ("loss", "drift", "lambda_min"), **flow))
        wanted.append(run("joint", ("loss", "drift"), **joint, layers="both"))
        if found.theory_step is not None:
            wanted.append(run("theory", ("loss", "drift"), steps=steps, lr=found.theory_step, every=10))
    parts = measure_all(facts, wanted, report, workers)
    found.starts = list(itertools.chain.from_iterable(parts["starts"]))
    found.radii, found.theory = parts.get("radii", []), parts.get("theory", [])
    found.descent = {part: parts[part] for part in FRACTIONS}
    found.flow, found.joint = parts["flow"], parts["joint"]
    return found


def _flow(end: float) -> dict[str, Any]:
    """The arguments of `train` for gradient flow up to that time."""
    return {"dynamics": "flow", "t_final": end, "times": np.linspace(0.0, end, _TIMES)}


def _run(facts: Facts, width: int, seed: int, metrics: str | tuple[str, ...], **settings: Any) -> Trajectory:
    """One run; one that diverges, or a flow that misses its tolerance, counts with what it logged."""
    try:
        with parallel_rows_expected():
            run = train(facts.X, facts.y, width=width, seed=seed, metrics=metrics, **settings)
    except (DivergenceError, ToleranceError) as error:
        return Trajectory.of(error.run, isinstance(error, DivergenceError))
    return Trajectory.of(run, False)


def _training(
    width: int, seed: int, engine: str, part: Any, metrics: str | tuple[str, ...], **settings: Any
) -> Measurement:
    """A run as part of the evidence; the path engine leaves flows to others."""
    if engine == "path" and "dynamics" in settings:
        engine = "auto"
    run = functools.partial(_run, width=width, seed=seed, metrics=metrics, engine=engine, **settings)
    return Measurement(part, f"training, width {width}, seed {seed}", run, ())


def _radii(facts: Facts, width: int, seed: int) -> dict[str, Any]:
    """How far one network may move."""
    net = TwoLayerReLU.init(facts.X.shape[1], width, seed)
    return {"width": width, "seed": seed, **radii(facts.X, net, facts.lambda_0 / 4.0, seed)}


def _starts(facts: Facts, widths: list[int], seed: int) -> list[dict[str, Any]]:
    """``H(0)`` of one seed at widths that double: a narrow network is the first part of a wide one."""
    n, d = facts.X.shape
    W = TwoLayerReLU.init(d, widths[-1], seed).W
    bits = activation_masks(facts.X, W).bits
    gram, rows = GramOfPatterns(facts.X, np.ones(1)), []
    doubling = [_NARROWEST * 2**k for k in range(32) if _NARROWEST * 2**k < widths[-1]]
    for width in sorted({*widths, *doubling}):
        part = bits[:, : padded_width(width)].copy()
        part[:, width:] = 0
        H = gram(PackedMasks(part, (n, width)))
        distance, least = spectral_norm(H, facts.H), lambda_min(H)
        rows.append(
            {
                "width": width, "seed": seed,
                "distance": float(distance), "distance_upper": distance.upper_bound,
                "lambda_min": float(least), "lambda_min_lower": least.lower_bound,
            }
        )  # fmt: skip
    return rows


def _with_copy(facts: Facts) -> dict[str, Any]:
    """lambda_min(H_inf) once a positive multiple of the first sample is added, and with one row of each pair left."""
    most = facts.lengths[1] or 1.0
    doubled = smallest_of_limit(np.vstack((facts.X, 2.0 * facts.X[:1] / most)))[1]
    found: dict[str, Any] = {"added": float(doubled), "added_bound": doubled.residual_bound, "removed": None}
    gone = sorted({j for _, j in facts.same} | set(np.flatnonzero(~facts.X.any(axis=1)).tolist()))
    if gone and len(gone) < facts.n:
        left = smallest_of_limit(np.delete(facts.X, gone, axis=0))[1]
        found |= {"removed": float(left), "removed_bound": left.lower_bound, "rows_removed": gone}
    return found
