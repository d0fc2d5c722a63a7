"""One statement of the theory with what was measured about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["DOES_NOT_APPLY", "FAILS", "HOLDS", "NOT_MEASURED", "Condition", "Statement", "judged", "widest"]

HOLDS, FAILS, DOES_NOT_APPLY, NOT_MEASURED = "holds", "fails", "does not apply", "not measured"


@dataclass(frozen=True)
class Condition:
    """A hypothesis of a statement, whether it is met, and the numbers behind that."""

    text: str
    met: bool
    detail: str


@dataclass
class Statement:
    """What a statement says and what was found.

    Attributes
    ----------
    name, says : str
    conditions : list of Condition
        Hypotheses on the data.
    verdict : {"holds", "fails", "does not apply", "not measured"}
    reason : str
        One sentence with the numbers behind the verdict.
    slack : float or None
        How much room there was in the worst case: bound over measured value, so below 1 is a violation.
    width_asked, width_enough : float or None
        What the theory asks for, with its unknown constant taken as 1, and the smallest width that was tried from
        which on the statement was found true (None: none was).
    measured : list of dict
        Tidy rows.
    notes : list of str
    """

    name: str
    says: str
    conditions: list[Condition]
    verdict: str = NOT_MEASURED
    reason: str = ""
    slack: float | None = None
    width_asked: float | None = None
    width_enough: int | None = None
    measured: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)

    def settle(self, verdict: str, reason: str) -> Statement:
        """Give the verdict, unless a hypothesis is not met: then what was found is only reported."""
        unmet = [
            f"{condition.text} is not met ({condition.detail})"
            for condition in self.conditions
            if not condition.met
        ]
        self.verdict = DOES_NOT_APPLY if unmet else verdict
        self.reason = "; ".join(unmet) + f". Found all the same: {reason}" if unmet else reason
        return self


def widest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the widest networks."""
    most = max(row["width"] for row in rows)
    return [row for row in rows if row["width"] == most]


def judged(rows: list[dict[str, Any]], delta: float) -> tuple[str, str, int | None]:
    """Verdict, reason and smallest sufficient width from rows with ``width`` and ``held``, one for each seed.

    The widest networks decide: the statement holds if it failed in no more than a fraction `delta` of them.
    """
    widths = sorted({row["width"] for row in rows})
    failed = {width: [not row["held"] for row in rows if row["width"] == width] for width in widths}
    enough: int | None = None
    for width in reversed(widths):
        if sum(failed[width]) > delta * len(failed[width]):
            break
        enough = width
    last = failed[widths[-1]]
    count = f"it failed in {sum(last)} of {len(last)} seeds at width {widths[-1]} (delta = {delta:g})"
    if enough is None:
        return FAILS, f"{count}; no width that was tried is enough", None
    return HOLDS, f"{count}; width {enough} is enough", enough
