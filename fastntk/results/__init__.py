"""Runs as data: the log of a run, its files, and where it came from."""

from fastntk.results.diagnostics import Diagnostics
from fastntk.results.run import Run
from fastntk.results.series import FLAT_METRICS, METRICS, SERIES
from fastntk.results.sweep import Sweep

__all__ = ["FLAT_METRICS", "METRICS", "SERIES", "Diagnostics", "Run", "Sweep"]
