"""How quantities at the end of a run fall with the width: power laws fitted seed by seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from fastntk.theory.verification.evidence import Trajectory

__all__ = ["SCALED", "Exponent", "exponents"]

SCALED = {
    "gram_change": r"$\Vert H(k)-H(0)\Vert_2$",
    "flips": "fraction of patterns changed",
    "drift": r"$\max_r\,\Vert w_r(k)-w_r(0)\Vert_2$",
}
"""Quantities that the theory expects to fall like ``m^(-1/2)``, with their names in figures."""

LEVEL = 0.95


@dataclass(frozen=True)
class Exponent:
    """Slope of ``log quantity`` against ``log m``, its confidence interval, and the factor at ``m = 1``."""

    quantity: str
    slope: float
    lower: float | None
    upper: float | None
    factor: float
    seeds: int
    theory: float = -0.5
    level: float = LEVEL

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)


def exponents(runs: list[Trajectory], names: Iterable[str] = tuple(SCALED)) -> list[Exponent]:
    """One fit for each quantity that is positive at the last step of all runs, if there are two widths.

    Least squares for each seed by itself; the mean of the slopes with its t-interval.  Widths share their neurons
    within a seed, seeds share nothing, so the slopes are independent.  With one seed there is no interval.
    """
    widths = sorted({run.width for run in runs})
    seeds = sorted({run.seed for run in runs})
    found = []
    for name in names:
        table = final_values(runs, name)
        if len(widths) < 2 or not (table > 0.0).all():
            continue
        fits = np.polyfit(np.log(widths), np.log(table), 1)  # one column a seed
        slope, factor = float(fits[0].mean()), float(np.exp(fits[1].mean()))
        lower = upper = None
        if len(seeds) > 1:
            half = float(
                student.ppf(0.5 + LEVEL / 2.0, len(seeds) - 1) * fits[0].std(ddof=1) / len(seeds) ** 0.5
            )
            lower, upper = slope - half, slope + half
        found.append(Exponent(name, slope, lower, upper, factor, len(seeds)))
    return found


def final_values(runs: list[Trajectory], name: str) -> NDArray[np.float64]:
    """A quantity at the last logged step, (widths, seeds)."""
    widths, seeds = sorted({run.width for run in runs}), sorted({run.seed for run in runs})
    table = np.full((len(widths), len(seeds)), np.nan)
    for run in runs:
        table[widths.index(run.width), seeds.index(run.seed)] = run.series[name][-1]
    return table
