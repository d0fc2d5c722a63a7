"""Runs and sweeps as a notebook shows them: where they ended, and how they got there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastntk.base.notebook import Curve, curves, table
from fastntk.plots.protocols import Log

__all__ = ["run_html", "sweep_html"]

_PICTURED = ("loss", "flips", "drift", "lambda_min")


def run_html(run: Log) -> str:
    """The first and the last of every series, of several layers the largest; a picture of each of the main ones."""
    ends = [
        [name, _largest(values[0]), _largest(values[-1])]
        for name, values in run.series.items()
        if len(values)
    ]
    return table(["series", "first", "last"], ends, repr(run)) + _pictures([run])


def sweep_html(title: str, rows: Sequence[dict[str, Any]], runs: Sequence[Log]) -> str:
    """The summary of a sweep, and a picture with all runs of each of the main series."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return table(names, [[row.get(name, "") for name in names] for row in rows], title) + _pictures(runs)


def _pictures(runs: Sequence[Log]) -> str:
    found = []
    for name in _PICTURED:
        lines = [line for run in runs if name in run.series for line in _lines(run, name)]
        if lines:
            found.append(curves(name, lines, log=name == "loss"))
    return "".join(found)


def _lines(run: Log, name: str) -> list[Curve]:
    """A curve, or one of each layer."""
    values, label = run.series[name], f"width {run.width}, seed {run.seed}"
    if values.ndim == 1:
        return [(label, run.places, values)]
    return [(f"{label}, layer {h}", run.places, part) for h, part in enumerate(values.T, 1)]


def _largest(values: Any) -> float:
    """The largest that is finite, if there is one."""
    finite = np.extract(np.isfinite(values), values)
    return float(finite.max()) if finite.size else float("nan")
