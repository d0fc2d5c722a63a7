"""Statements about networks with several hidden layers: the kernel of the last one, the rate, how far weights go.

Du, Lee, Li, Wang and Zhai (arXiv 1811.03804) prove them for smooth activations and Gaussian output weights, all layers
trained, from the smallest eigenvalue of ``K^(H)``, the limit of ``G^(H)``.  The ReLU is not smooth: what is proven for
it (Nguyen, arXiv 2101.09612; Nguyen, Mondelli and Montufar, arXiv 2012.11654) is worded differently.  Here the same
conclusions are measured for the ReLU, its hidden layers trained, ``scale = sqrt(2)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.base.errors import DivergenceError
from fastntk.distributed import Workers
from fastntk.matrices.limit import limit_gram
from fastntk.spectra import lambda_max, lambda_min
from fastntk.theory.verification.evidence import Trajectory
from fastntk.theory.verification.exponents import Exponent, exponents
from fastntk.theory.verification.facts import Facts, parallel_rows_expected
from fastntk.theory.verification.measurements import Measurement, measure_all
from fastntk.theory.verification.statement import Condition, Statement, judged, widest
from fastntk.theory.verification.trajectories import least_slack
from fastntk.training.train import train

__all__ = ["SCALE", "DeepEvidence", "deep_exponents", "deep_statements", "gather_deep"]

SCALE = 2**0.5
_TINY = float(np.finfo(np.float64).tiny)
_PART = 0.25  # of the largest stable step of the limit
_METRICS = ("loss", "flips", "drift", "drift_norm", "gram", "lambda_min")
_SCALED = ("flips", "drift", "drift_norm", "gram_change")  # expected to fall like m^(-1/2), in every layer
_ASIDE = (
    "Proven for smooth activations with all layers trained; measured for the ReLU, hidden layers trained."
)


@dataclass(eq=False)
class DeepEvidence:
    """Runs of each width and seed, and the limits of the layers.

    Attributes
    ----------
    lambda_0, proven_above : float
        ``lambda_min(K^(H))``, and what it is proven to lie above.
    largest : (H,) float64
        ``lambda_max(K^(h))``.
    lr : float
    runs : list of Trajectory
        Their series have one name for each layer, such as ``drift_norm_2``.
    """

    facts: Facts
    depth: int
    lambda_0: float
    proven_above: float
    largest: NDArray[np.float64]
    lr: float
    runs: list[Trajectory]


def gather_deep(
    facts: Facts,
    depth: int,
    widths: list[int],
    seeds: list[int],
    steps: int,
    report: Callable[[str], object],
    workers: Workers | None,
) -> DeepEvidence:
    """Train at every width and seed, everything logged."""
    total, largest = np.zeros((facts.n, facts.n)), []
    with parallel_rows_expected():
        for layer in range(1, depth + 1):
            K = limit_gram(facts.X, layers=layer, depth=depth, scale=SCALE)
            total += K
            largest.append(float(lambda_max(K)))
        smallest = lambda_min(K)
    lr = _PART * 2.0 / float(lambda_max(total))
    wanted = [
        Measurement(
            "runs", f"depth {depth}, width {width}, seed {seed}", _run, (depth, width, seed, steps, lr)
        )
        for width in widths
        for seed in seeds
    ]
    runs = measure_all(facts, wanted, report, workers)["runs"]
    lowest = float(smallest), float(smallest.lower_bound)
    return DeepEvidence(facts, depth, *lowest, np.array(largest), lr, runs)


def _run(facts: Facts, depth: int, width: int, seed: int, steps: int, lr: float) -> Trajectory:
    settings: dict[str, Any] = {"depth": depth, "scale": SCALE, "metrics": _METRICS, "steps": steps, "lr": lr}
    diverged = False
    try:
        with parallel_rows_expected():
            run = train(facts.X, facts.y, width=width, seed=seed, **settings)
    except DivergenceError as error:
        run, diverged = error.run, True
    found = Trajectory.of(run, diverged)
    rows = run.rows()
    names = [name for name in rows[0] if name not in ("width", "seed", "step")]
    found.series = {name: np.array([row[name] for row in rows]) for name in names}
    return found


def deep_statements(evidence: DeepEvidence) -> list[Statement]:
    """The four of them."""
    return [_start(evidence), _along(evidence), _rate(evidence), _drift(evidence)]


def deep_exponents(evidence: DeepEvidence) -> list[Exponent]:
    """Power laws in the width, layer by layer."""
    layers = range(1, evidence.depth + 1)
    return exponents(evidence.runs, tuple(f"{name}_{h}" for name in _SCALED for h in layers))


def _statement(evidence: DeepEvidence, name: str, says: str) -> Statement:
    facts, lambda_0 = evidence.facts, evidence.lambda_0
    positive = Condition("lambda_min(K^(H)) > 0", evidence.proven_above > 0.0, f"it is {lambda_0:.4g}")
    return Statement(f"Depth {evidence.depth}: {name}", says, [facts.unit(), positive], notes=[_ASIDE])


def _settled(statement: Statement, evidence: DeepEvidence) -> Statement:
    """Judge by the rows that were measured."""
    verdict, reason, statement.width_enough = judged(statement.measured, evidence.facts.delta)
    statement.slack = min(row["slack"] for row in widest(statement.measured))
    return statement.settle(verdict, reason)


def _eigenvalues(evidence: DeepEvidence, run: Trajectory) -> NDArray[np.float64]:
    found = run.series[f"lambda_min_{evidence.depth}"]
    return np.where(np.isnan(found), -np.inf, found)  # of a run that diverged


def _start(evidence: DeepEvidence) -> Statement:
    statement = _statement(
        evidence,
        "kernel at the start",
        "If m is large enough, then with probability at least 1 - delta "
        "lambda_min(G^(H)(0)) >= 3/4 lambda_min(K^(H)).",
    )
    for run in evidence.runs:
        statement.measured.append(
            _above(run, float(_eigenvalues(evidence, run)[0]), 0.75 * evidence.lambda_0)
        )
    return _settled(statement, evidence)


def _along(evidence: DeepEvidence) -> Statement:
    statement = _statement(
        evidence,
        "kernel along training",
        "If m is large enough, then with probability at least 1 - delta for all k "
        "lambda_min(G^(H)(k)) >= lambda_min(K^(H)) / 2.",
    )
    for run in evidence.runs:
        statement.measured.append(
            _above(run, float(_eigenvalues(evidence, run).min()), 0.5 * evidence.lambda_0)
        )
    return _settled(statement, evidence)


def _above(run: Trajectory, found: float, bound: float) -> dict[str, Any]:
    """A row about an eigenvalue that should not be below a bound."""
    slack = found / bound if bound > 0.0 else 0.0
    return _row(run, lambda_min=found, bound=bound, held=found >= bound, slack=slack)


def _rate(evidence: DeepEvidence) -> Statement:
    statement = _statement(
        evidence,
        "linear rate",
        "If m is large enough and eta small enough, then with probability at least 1 - delta for all k "
        "|u(k) - y|^2 <= (1 - eta lambda_0 / 2)^k |u(0) - y|^2 with lambda_0 = lambda_min(K^(H)).",
    )
    statement.notes.append(f"Measured at eta = {_PART:g} * 2 / lambda_max = {evidence.lr:.3g}.")
    for run in evidence.runs:
        factor = np.float64(1.0 - 0.5 * evidence.lr * evidence.lambda_0)
        slack = 0.0 if run.diverged else least_slack(np.power(factor, run.steps, dtype=np.float64), run.ratio)
        statement.measured.append(_row(run, last_ratio=float(run.ratio[-1]), held=slack >= 1.0, slack=slack))
    return _settled(statement, evidence)


def _drift(evidence: DeepEvidence) -> Statement:
    statement = _statement(
        evidence,
        "weights stay near",
        "If m is large enough, then with probability at least 1 - delta for all k and h "
        "|W^(h)(k) - W^(h)(0)|_2 <= 4 sqrt(2 lambda_max(K^(h))) |u(0) - y|_2 / lambda_0.",
    )
    statement.notes.append(
        "The bound sums the steps: one is at most eta sqrt(lambda_max(G^(h))) |u(k) - y|_2, with lambda_max(G^(h)) at "
        "most twice that of its limit and errors that fall at the rate above. The change is measured by a Rayleigh "
        "quotient, which is not above the norm."
    )
    for run in evidence.runs:
        width = math.sqrt(run.width)
        for h, largest in enumerate(evidence.largest, 1):
            bound = 4.0 * math.sqrt(2.0 * largest) * run.error / max(evidence.lambda_0, _TINY)
            found = width * float(run.series[f"drift_norm_{h}"].max())
            held = not run.diverged and found <= bound
            slack = bound / found if found and not run.diverged else 0.0
            statement.measured.append(_row(run, layer=h, change=found, bound=bound, held=held, slack=slack))
    return _settled(statement, evidence)


def _row(run: Trajectory, **measured: Any) -> dict[str, Any]:
    return {"width": run.width, "seed": run.seed, **measured}
