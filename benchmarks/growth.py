"""How cost grows with n and with m: the same kernel over a range of sizes, and the slope of log time on log size."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.case import BLAS, NUMPY, OURS, PRODUCT, Case, Size
from benchmarks.limits import Limit
from benchmarks.rows import Row, row
from benchmarks.timing import Effort

Growth = dict[str, Any]
QUICK_LARGEST = {"n": 300, "m": 2000}


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float | None:
    """Least-squares slope in the log-log plane, None below two sizes."""
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def growth(
    case: Case,
    variable: str,
    limits: Mapping[str, Limit],
    plan: Effort,
    quick: bool,
    report: Callable[[Row], None],
) -> Growth | None:
    """Rows of one case over ``variable`` ("n" or "m") with fitted exponents, None if the case has no such range."""
    sizes = case.growth_in_n if variable == "n" else case.growth_in_m
    if quick:
        sizes = tuple(size for size in sizes if getattr(size, variable) <= QUICK_LARGEST[variable])
    if not sizes:
        return None
    baseline = next(side for side in (BLAS, PRODUCT, NUMPY) if side in case.against)
    rows = []
    for size in sizes:
        rows.append(row(case, size, limits, plan, only=(baseline,)))
        report(rows[-1])
    good = [line for line in rows if "error" not in line]
    values = [line["size"][variable] for line in good]
    exponents = {}
    for side in (OURS, baseline):
        seconds = [line["seconds"][side]["median"] for line in good]
        exponents[side] = {"all": exponent(values, seconds), "largest": exponent(values[-3:], seconds[-3:])}
    return {
        "case": case.name,
        "variable": variable,
        "fixed": _fixed(sizes[0], variable),
        "baseline": baseline,
        "rows": rows,
        "exponents": exponents,
    }


def _fixed(size: Size, variable: str) -> str:
    """What does not vary, as text."""
    values = {"n": size.n, "d": size.d, "m": size.m}
    return " ".join(f"{name}={value}" for name, value in values.items() if name != variable and value)
