"""The whole job: every width of the published experiment, all metrics at every step.

Our side always runs in full.  The NumPy side would take many minutes, so unless asked for in full it runs a few
steps, and the rest is computed from them: ``T(0) + steps / few * (T(few) - T(0))``, where ``T(k)`` is the time of
a run of k steps; what happens once is in ``T(0)`` and is not multiplied.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastntk
from benchmarks.case import NUMPY, OURS
from benchmarks.inputs import close
from fastntk import reference

WIDTHS = (500, 1000, 2000, 4000, 8000)
STEPS, LR, FLOOR = 100, 0.1, 6.0
_SERIES = ("loss", "drift", "gram_change", "gram_limit_distance", "lambda_min")
PAUSE = 0.05


def _ours(X: np.ndarray, y: np.ndarray, width: int, steps: int) -> tuple[float, Any]:
    time.sleep(PAUSE)
    began = time.perf_counter()
    run = fastntk.sweep(X, y, [width], steps=steps, lr=LR, metrics="all").runs[0]
    return time.perf_counter() - began, run


def _numpy(X: np.ndarray, y: np.ndarray, width: int, steps: int) -> tuple[float, Any]:
    time.sleep(PAUSE)
    began = time.perf_counter()
    net = fastntk.TwoLayerReLU.init(X.shape[1], width, seed=0)
    log = reference.train(X, y, net.W, net.a, steps=steps, lr=LR, metrics="all")
    return time.perf_counter() - began, log


def _check(run: Any, log: dict[str, np.ndarray]) -> None:
    """Compare the logged series as far as NumPy went."""
    count = len(log["steps"])
    for name in _SERIES:
        close(getattr(run, name)[:count], log[name], name, 5e-3)
    if np.abs(run.flips[:count] - log["flips"]).max() > 1e-4:
        raise AssertionError("flips differ")


def _width(
    X: np.ndarray, y: np.ndarray, width: int, steps: int, few: int, ours_first: bool
) -> dict[str, Any]:
    if ours_first:
        ours, run = _ours(X, y, width, steps)
    once = _numpy(X, y, width, 0)[0] if few < steps else 0.0
    measured, log = _numpy(X, y, width, few)
    if not ours_first:
        ours, run = _ours(X, y, width, steps)
    _check(run, log)
    theirs = measured if few == steps else once + steps / few * (measured - once)
    return {"width": width, OURS: ours, NUMPY: theirs, "measured": measured, "ratio": theirs / ours}


def measure(quick: bool, full: bool, report: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Seconds of both sides for each width and in all; ``full`` measures all steps of the NumPy side too."""
    n = 200 if quick else 1000
    steps = 10 if quick else STEPS
    few = steps if full or quick else 5
    X, y = fastntk.datasets.slides(n, n)
    for width in WIDTHS[:2] if quick else WIDTHS:
        _ours(
            X, y, width, steps
        )  # compiles and loads everything; which engine a width takes follows from the steps
    _numpy(X, y, 64, 0)
    result: dict[str, Any] = {"n": n, "d": n, "steps": steps, "numpy_steps": few, "widths": []}
    for number, width in enumerate(WIDTHS[:2] if quick else WIDTHS):
        try:
            row = _width(X, y, width, steps, few, ours_first=number % 2 == 0)
        except AssertionError as error:
            return {**result, "error": f"wrong answer at width {width}: {error}"}
        result["widths"].append(row)
        report(row)
    totals = {side: sum(row[side] for row in result["widths"]) for side in (OURS, NUMPY)}
    ratios = [row["ratio"] for row in result["widths"]]
    return {
        **result,
        **totals,
        "ratio": totals[NUMPY] / totals[OURS],
        "min": min(ratios),
        "max": max(ratios),
        "floor": None if quick else FLOOR,
    }
