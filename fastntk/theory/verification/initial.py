"""Statements about the kernel at the start: Theorem 3.1, Lemma 3.1, Lemma 3.2."""

from __future__ import annotations

import numpy as np

from fastntk.theory.verification.evidence import Evidence
from fastntk.theory.verification.statement import FAILS, HOLDS, NOT_MEASURED, Statement, judged, widest

__all__ = ["lemma_3_1", "lemma_3_2", "theorem_3_1"]

_ROUNDING = 1e-7  # an eigenvalue that should be 0, relative to the largest


def theorem_3_1(evidence: Evidence) -> Statement:
    """The limit kernel is positive definite unless two samples are parallel."""
    facts, copy = evidence.facts, evidence.with_copy
    parallel = len(facts.same)
    statement = Statement(
        "Theorem 3.1",
        "If no two samples are parallel, then lambda_0 = lambda_min(H_inf) > 0.",
        [],
        measured=[
            {
                "data": "given",
                "lambda_min": float(facts.smallest),
                "proven_above": facts.smallest.lower_bound,
            },
            {"data": "with a multiple of sample 0 added", "lambda_min": copy["added"], "proven_above": None},
        ],
        notes=[
            "The converse is true for positive multiples: such a pair makes H_inf singular. Samples that point in "
            "opposite directions are parallel in the theorem's sense but may leave lambda_0 positive.",
        ],
    )
    if copy["removed"] is not None:
        row = {"data": f"without rows {', '.join(map(str, copy['rows_removed'][:5]))}"}
        statement.measured.append(
            row | {"lambda_min": copy["removed"], "proven_above": copy["removed_bound"]}
        )
    zero = abs(copy["added"]) <= max(copy["added_bound"], _ROUNDING * facts.lambda_max)
    singular = facts.lengths[0] == 0.0 or parallel > 0
    if singular:
        found = f"{parallel} parallel pair(s), lambda_min(H_inf) = {float(facts.smallest):.2g}"
        if copy["removed"] is not None:
            found += f"; {copy['removed']:.4g} once they are removed"
        true = not facts.positive and (copy["removed"] is None or copy["removed_bound"] > 0.0)
        return statement.settle(HOLDS if true else FAILS, found)
    found = (
        f"no parallel pair, lambda_0 = {float(facts.smallest):.6g}, for H_inf as computed proven above "
        f"{facts.smallest.lower_bound:.6g}; "
        f"with a multiple of sample 0 added it is {copy['added']:.1e}"
    )
    if facts.opposite:
        found += f"; {len(facts.opposite)} pair(s) point in opposite directions"
    if facts.opposite and not facts.positive:
        return statement.settle(HOLDS, found + ", and lambda_0 is 0 because of them")
    return statement.settle(HOLDS if facts.positive and zero else FAILS, found)


def lemma_3_1(evidence: Evidence) -> Statement:
    """Concentration of the kernel at the start."""
    facts = evidence.facts
    statement = Statement(
        "Lemma 3.1",
        "If m = Omega(n^2 / lambda_0^2 log(n / delta)), then with probability at least 1 - delta "
        "|H(0) - H_inf|_2 <= lambda_0 / 4 and lambda_min(H(0)) >= 3/4 lambda_0.",
        [facts.unit(), facts.assumption()],
        width_asked=facts.width_of_concentration(),
    )
    for row in evidence.starts:
        near = row["distance_upper"] <= facts.lambda_0 / 4.0
        positive = row["lambda_min_lower"] >= 0.75 * facts.lambda_0
        statement.measured.append({**row, "near": near, "positive": positive, "held": near and positive})
    verdict, reason, statement.width_enough = judged(statement.measured, facts.delta)
    most = max(row["distance"] for row in widest(statement.measured))
    statement.slack = facts.lambda_0 / 4.0 / most if most else None
    return statement.settle(verdict, reason)


def lemma_3_2(evidence: Evidence) -> Statement:
    """Stability of the kernel under moves of the weights."""
    facts = evidence.facts
    statement = Statement(
        "Lemma 3.2",
        "With probability at least 1 - delta, for all weights with |w_r - w_r(0)|_2 <= R = c delta lambda_0 / n^2, "
        "|H - H(0)|_2 < lambda_0 / 4 and lambda_min(H) > lambda_0 / 2.",
        [facts.unit(), facts.assumption()],
        notes=[
            f"The proof gives c = sqrt(2 pi) / 16 and so R = {facts.theory_radius:.3g}. A radius is certified when "
            "every perturbation within it is proven to keep |H - H(0)|_2 below lambda_0 / 4 for this draw (counting "
            "the entries that can flip); adversarial moves leave the goal beyond theirs, as measured; random ones were "
            "tried up to a hundred times the longest weight vector. The second inequality follows from the first and "
            "Lemma 3.1.",
        ],
    )
    if not evidence.radii:
        return statement.settle(NOT_MEASURED, "there is no lambda_0 / 4 to stay below")
    for row in evidence.radii:
        statement.measured.append(
            {**row, "theory": facts.theory_radius, "held": row["certified"] >= facts.theory_radius}
        )
    verdict, reason, statement.width_enough = judged(statement.measured, facts.delta)
    rows = widest(statement.measured)
    names = ("certified", "adversarial", "random")
    medians = ", ".join(f"{name} {np.median([row[name] for row in rows]):.3g}" for name in names)
    statement.slack = min(row["certified"] for row in rows) / facts.theory_radius
    return statement.settle(
        verdict, f"{reason}; median radii there: {medians}, against R = {facts.theory_radius:.3g}"
    )
