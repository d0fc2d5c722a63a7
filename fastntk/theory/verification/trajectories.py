"""Statements about training: Lemmas 3.3 and 3.4, Theorems 3.2, 3.3 and 4.1, Corollary 4.1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.theory.verification.evidence import Evidence, Trajectory
from fastntk.theory.verification.facts import Facts
from fastntk.theory.verification.statement import DOES_NOT_APPLY, FAILS, HOLDS, Statement, judged, widest

__all__ = ["corollary_4_1", "lemma_3_3", "lemma_3_4", "theorem_3_2", "theorem_3_3", "theorem_4_1"]

Bound = Callable[[Facts, Trajectory], NDArray[np.float64]]

_RESOLVED = 1e-10  # of the squared error at the start
_ROUNDING = 1.0 + 1e-5  # of a drift in float32
_EQUAL = 1.0 - 1e-9  # what rounding leaves unproven of an eigenvalue that equals its bound


def least_slack(bound: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    """Smallest ratio of bound to measured value after the first entry, which is equal for both; 0 if not finite.

    Entries whose bound is below what float32 resolves are left out.
    """
    counted = bound >= _RESOLVED
    counted[0] = False
    if not counted.any():
        return 1.0
    with np.errstate(divide="ignore"):
        least = float((bound[counted] / measured[counted]).min())
    return 0.0 if math.isnan(least) else least


def theorem_3_2(evidence: Evidence) -> Statement:
    """Rate of gradient flow."""
    facts = evidence.facts
    statement = Statement(
        "Theorem 3.2",
        "If m = Omega(n^6 / (lambda_0^4 delta^3)), then with probability at least 1 - delta for all t >= 0 "
        "|u(t) - y|^2 <= exp(-lambda_0 t) |u(0) - y|^2 (gradient flow on the first layer).",
        [facts.unit(), facts.assumption(), facts.bounded()],
        width_asked=facts.width_of_convergence(),
        notes=[_integration(evidence.flow)],
    )
    return _rate(statement, facts, evidence.flow, flow_bound)


def theorem_4_1(evidence: Evidence) -> Statement:
    """Rate of gradient descent, at the step size of the theory and at practical ones."""
    facts = evidence.facts
    statement = Statement(
        "Theorem 4.1",
        "If m = Omega(n^6 / (lambda_0^4 delta^3)) and eta = O(lambda_0 / n^2), then with probability at least "
        "1 - delta for all k |u(k) - y|^2 <= (1 - eta lambda_0 / 2)^k |u(0) - y|^2.",
        [facts.unit(), facts.assumption(), facts.bounded()],
        width_asked=facts.width_of_convergence(),
    )
    _rate(statement, facts, evidence.theory or evidence.main, descent_bound)
    if evidence.theory:
        statement.notes.append(f"Measured at eta = lambda_0 / n^2 = {evidence.theory_step:.3g}.")
    for part, runs in evidence.descent.items():
        rows = _rate_rows(facts, runs, descent_bound)
        verdict, _, enough = judged(rows, facts.delta)
        slack = min(row["slack"] for row in widest(rows))
        statement.measured += [{**row, "part_of_largest_step": part} for row in rows]
        statement.notes.append(
            f"At the practical step {part:g} * 2 / lambda_max = {part * evidence.largest_step:.3g} the bound {verdict}"
            + (f" from width {enough}" if enough else "")
            + f", smallest bound over loss at the widest {slack:.4g}."
        )
    return statement


def theorem_3_3(evidence: Evidence) -> Statement:
    """Rate when both layers are trained."""
    facts = evidence.facts
    statement = Statement(
        "Theorem 3.3",
        "If m = Omega(n^6 log(m / delta) / (lambda_0^4 delta^3)), then with probability at least 1 - delta for all "
        "t >= 0 |u(t) - y|^2 <= exp(-lambda_0 t) |u(0) - y|^2 (gradient flow on both layers).",
        [facts.unit(), facts.assumption(), facts.bounded()],
        width_asked=_width_of_joint_convergence(facts),
        notes=[_integration(evidence.joint)],
    )
    return _rate(statement, facts, evidence.joint, flow_bound)


def _integration(runs: list[Trajectory]) -> str:
    """How the flows were followed, and how far, in a sentence."""
    solvers = [run.solver for run in runs if run.solver is not None]
    steps = [solver["accepted"] for solver in solvers]
    error = max(solver["error_estimate"] for solver in solvers)
    text = (
        f"The flow of the network itself, by a Runge-Kutta method with error control ({min(steps)} to {max(steps)} "
        f"steps, tolerance {solvers[0]['tolerance']:g}; estimated errors of a run add up to at most |u - u*| = "
        f"{error:.2g}) up to t = {max(solver['time'] for solver in solvers):.3g}."
    )
    missed = sum(solver["failure"] is not None for solver in solvers)
    return text + (f" In {missed} of {len(runs)} runs it was lost before that." if missed else "")


def _width_of_joint_convergence(facts: Facts) -> float:
    """The smallest m with ``m = n^6 log(m / delta) / (lambda_0^4 delta^3)``."""
    factor = width = facts.width_of_convergence()
    for _ in range(50):  # a contraction for widths of this size
        width = factor * math.log(width / facts.delta)
    return width


def lemma_3_3(evidence: Evidence) -> Statement:
    """Loss and drift while the kernel stays above lambda_0 / 2."""
    facts = evidence.facts
    statement = Statement(
        "Lemma 3.3",
        "Suppose lambda_min(H(s)) >= lambda_0 / 2 for 0 <= s <= t. Then |y - u(t)|^2 <= exp(-lambda_0 t) |y - u(0)|^2 "
        "and |w_r(t) - w_r(0)|_2 <= R' = sqrt(n) |y - u(0)|_2 / (sqrt(m) lambda_0) for all r.",
        [facts.unit(), facts.assumption()],
        notes=[
            _integration(evidence.flow),
            "The rate exp(-lambda_0 t) of the squared error is exp(-lambda_0 t / 2) for its root, whose integral is "
            "2 / lambda_0: the argument gives 2 R', and R' as printed lacks the factor 2.",
        ],
    )
    for run in evidence.flow:
        last = _until(run.series["lambda_min_lower"] >= _EQUAL * facts.lambda_0 / 2.0)
        if last == 0:
            continue
        travel = facts.travel(run.width, run.error)
        slack = least_slack(flow_bound(facts, run)[:last], run.ratio[:last])
        drift = float(run.series["drift"][:last].max())
        statement.measured.append(
            {
                "width": run.width, "seed": run.seed, "last_time": float(run.places[last - 1]), "loss_slack": slack,
                "drift": drift, "R_prime": travel, "drift_slack": travel / drift if drift else math.inf,
                "held": slack >= 1.0 and drift <= travel * _ROUNDING,
                "held_with_2R": slack >= 1.0 and drift <= 2.0 * travel * _ROUNDING,
            }
        )  # fmt: skip
    return _conditional(
        statement, len(evidence.flow), "lambda_min(H(0)) >= lambda_0 / 2", ("loss_slack", "drift_slack")
    )


def lemma_3_4(evidence: Evidence) -> Statement:
    """What follows from R' < R."""
    facts = evidence.facts
    statement = Statement(
        "Lemma 3.4",
        "If R' < R, then for all t >= 0 lambda_min(H(t)) >= lambda_0 / 2, |w_r(t) - w_r(0)|_2 <= R' for all r, and "
        "|y - u(t)|^2 <= exp(-lambda_0 t) |y - u(0)|^2.",
        [facts.unit(), facts.assumption()],
        notes=[_integration(evidence.flow)],
    )
    certified = {(row["width"], row["seed"]): row["certified"] for row in evidence.radii}
    errors: list[float] = []
    for run in evidence.flow:
        travel, errors = facts.travel(run.width, run.error), [*errors, run.error]
        radius = max(facts.theory_radius, certified.get((run.width, run.seed), 0.0))
        slack = least_slack(flow_bound(facts, run), run.ratio)
        least, proven = (float(run.series[name].min()) for name in ("lambda_min", "lambda_min_lower"))
        drift = float(run.series["drift"].max())
        statement.measured.append(
            {
                "width": run.width, "seed": run.seed,
                "R_prime": travel, "R": facts.theory_radius, "R_certified": radius,
                "applies": travel < radius, "lambda_min": least, "lambda_min_lower": proven, "drift": drift,
                "loss_slack": slack,
                "held": proven >= _EQUAL * facts.lambda_0 / 2.0 and drift <= travel * _ROUNDING and slack >= 1.0,
            }
        )  # fmt: skip
    rows = statement.measured
    if facts.positive:
        asked = facts.n * float(np.median(errors)) ** 2 / (facts.lambda_0 * facts.theory_radius) ** 2
        statement.width_asked = asked
    applying = [row for row in rows if row["applies"]]
    _, concluded, statement.width_enough = judged(rows, facts.delta)
    if not applying:
        least = min(row["R_prime"] / row["R_certified"] for row in rows) if facts.positive else math.inf
        return statement.settle(
            DOES_NOT_APPLY,
            f"R' < R at no width that was tried, even with the certified radius of the draw for R: R' is at least "
            f"{least:.3g} times as large. Its conclusion all the same: {concluded}",
        )
    failed = [row for row in applying if not row["held"]]
    statement.slack = min(
        min(row["R_prime"] / row["drift"], row["loss_slack"]) for row in applying if row["drift"]
    )
    text = f"R' < R in {len(applying)} of {len(rows)} runs, and it failed in {len(failed)} of them"
    return statement.settle(FAILS if failed else HOLDS, text)


def corollary_4_1(evidence: Evidence) -> Statement:
    """Drift along gradient descent."""
    facts = evidence.facts
    statement = Statement(
        "Corollary 4.1",
        "If |u(k') - y|^2 <= (1 - eta lambda_0 / 2)^k' |u(0) - y|^2 for k' = 0, ..., k, then "
        "|w_r(k + 1) - w_r(0)|_2 <= 4 sqrt(n) |y - u(0)|_2 / (sqrt(m) lambda_0) for all r.",
        [facts.unit(), facts.assumption()],
    )
    runs = [run for part in evidence.descent.values() for run in part] + evidence.theory
    for run in runs:
        rate = descent_bound(facts, run)
        last = _until((run.ratio <= rate * (1.0 + 1e-12)) | (rate < _RESOLVED))
        beyond = last < len(run.steps) and run.steps[last] == run.steps[last - 1] + 1
        logged = last + beyond  # one step beyond the last at which the condition holds
        bound = 4.0 * facts.travel(run.width, run.error)
        drift = float(np.nanmax(run.series["drift"][:logged]))
        statement.measured.append(
            {
                "width": run.width, "seed": run.seed, "lr": run.lr, "last_step": int(run.steps[logged - 1]),
                "drift": drift, "bound": bound, "drift_slack": bound / drift if drift else math.inf,
                "held": drift <= bound * _ROUNDING,
            }
        )  # fmt: skip
    return _conditional(statement, len(runs), "its condition at k = 0", ("drift_slack",))


def flow_bound(facts: Facts, run: Trajectory) -> NDArray[np.float64]:
    """``exp(-lambda_0 t)`` at the logged times."""
    return np.asarray(np.exp(-facts.lambda_0 * run.places), dtype=np.float64)


def descent_bound(facts: Facts, run: Trajectory) -> NDArray[np.float64]:
    """``(1 - lr lambda_0 / 2)^k`` at the logged steps."""
    assert run.lr is not None, "gradient descent has a step size"
    return np.asarray((1.0 - run.lr * facts.lambda_0 / 2.0) ** run.steps, dtype=np.float64)


def _until(true: NDArray[np.bool_]) -> int:
    """Number of leading entries that are true."""
    return len(true) if true.all() else int(np.argmin(true))


def _rate_rows(facts: Facts, runs: list[Trajectory], bound_of: Bound) -> list[dict[str, Any]]:
    """How each run stands to its bound."""
    rows = []
    for run in runs:
        bound = bound_of(facts, run)
        slack = 0.0 if run.diverged else least_slack(bound, run.ratio)
        place: dict[str, Any] = {"lr": run.lr, "last_step": int(run.steps[-1])}
        if run.times is not None:
            place = {"last_time": float(run.times[-1])}
        rows.append(
            {
                "width": run.width, "seed": run.seed, **place,
                "final_ratio": float(run.ratio[-1]), "final_bound": float(bound[-1]), "slack": slack,
                "held": slack >= 1.0,
            }
        )  # fmt: skip
    return rows


def _rate(statement: Statement, facts: Facts, runs: list[Trajectory], bound_of: Bound) -> Statement:
    """Settle a bound on the loss at all logged steps."""
    statement.measured = _rate_rows(facts, runs, bound_of)
    verdict, reason, statement.width_enough = judged(statement.measured, facts.delta)
    statement.slack = min(row["slack"] for row in widest(statement.measured))
    return statement.settle(verdict, reason)


def _conditional(statement: Statement, runs: int, condition: str, slacks: tuple[str, ...]) -> Statement:
    """Settle a statement that is about each run as long as its condition holds: one violation refutes it."""
    rows = statement.measured
    if not rows:
        return statement.settle(DOES_NOT_APPLY, f"no run met {condition}")
    failed = [row for row in rows if not row["held"]]
    statement.slack = min(row[name] for row in rows for name in slacks)
    text = f"its condition was met for some time in {len(rows)} of {runs} runs, and it failed in {len(failed)} of them"
    if failed:
        widths = sorted({row["width"] for row in failed})
        text += f" (widths {', '.join(map(str, widths))})"
    statement.settle(FAILS if failed else HOLDS, text)
    clean = [
        width
        for width in {row["width"] for row in rows}
        if all(r["held"] for r in rows if r["width"] >= width)
    ]
    statement.width_enough = min(clean, default=None)
    return statement
