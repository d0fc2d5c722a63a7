"""The figure of a run's diagnostics: which patterns flip, when and how often, and how the drift spreads.

Only Matplotlib's object interface is used: no window system, no global state.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastntk.plots.protocols import FlipLog
from fastntk.plots.style import thin_frame, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_diagnostics", "plot_diagnostics"]

_DARK, _LIGHT = "#414487", "#35b779"  # of viridis: far apart in grey too


def plot_diagnostics(seen: FlipLog, path: str | os.PathLike[str], dpi: int = 300) -> Path:
    """Draw the diagnostics of a run and write the figure to `path`.

    Parameters
    ----------
    seen : Diagnostics
    path, dpi
        As in `fastntk.plots.runs.plot_runs`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        For another file type.
    OSError
        When the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import fastntk
    >>> run = fastntk.train([[1.0]], [1.0], width=3, steps=2, diagnostics=True)
    >>> plot_diagnostics(run.diagnostics, Path(tempfile.mkdtemp()) / "flips.png", dpi=50).name
    'flips.png'
    """
    return write_figure(lambda: draw_diagnostics(seen), path, dpi)


def draw_diagnostics(seen: FlipLog) -> Figure:
    """Build the figure of `plot_diagnostics` without writing it."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.0, 5.2), layout="constrained")
    grid = figure.subplots(2, 2)
    titles = (
        "Pattern entries that flip",
        "Distance of the neurons from their start",
        "Flips per neuron",
        "Neurons and samples that have ever flipped",
    )
    for letter, title, axes in zip("abcd", titles, grid.flat, strict=True):
        axes.set_title(f"({letter}) {title}", loc="left")
        thin_frame(axes)
        axes.set_xlabel("step $k$")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _entries(grid[0, 0], seen)
    _drift(grid[0, 1], seen)
    _histogram(grid[1, 0], seen)
    _first(grid[1, 1], seen)
    return figure


def _entries(axes: Axes, seen: FlipLog) -> None:
    """Net and cumulative changes, in per cent of all entries."""
    from matplotlib.ticker import LogFormatter

    share = 100.0 / (seen.samples.net.size * seen.neurons.net.size)
    axes.plot(seen.steps, share * seen.cumulative, color=_LIGHT, linestyle="--", label="all flips so far")
    axes.plot(seen.steps, share * seen.net, color=_DARK, label="differ from step 0")
    axes.set_ylabel("per cent of the $nm$ entries")
    if seen.cumulative[-1]:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.4)))
    axes.legend(frameon=False)


def _drift(axes: Axes, seen: FlipLog) -> None:
    """Bands between quantiles that lie symmetrically, from all neurons to the middle half; the median as a line."""
    count = seen.levels.size
    pairs = count // 2
    for k in range(pairs):
        low, high = seen.levels[k], seen.levels[count - 1 - k]
        name = "smallest to largest" if high - low == 1.0 else f"{100 * low:g} to {100 * high:g} %"
        axes.fill_between(
            seen.steps,
            seen.drift_quantiles[:, k],
            seen.drift_quantiles[:, count - 1 - k],
            color=_DARK,
            alpha=0.15 + 0.15 * k,
            linewidth=0,
            label=name,
        )
    axes.plot(seen.steps, seen.drift_quantiles[:, pairs], color="black", linewidth=1.2, label="median")
    axes.set_ylabel(r"$\Vert w_r(k)-w_r(0)\Vert_2$")
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False)


def _histogram(axes: Axes, seen: FlipLog) -> None:
    """How many neurons have how many flips, net and in all: none, then bins that double."""
    net, total = seen.neurons.net, seen.neurons.total
    lows = [0, 1, *(2**k + 1 for k in range(int(total.max()).bit_length()) if 2**k < total.max())]
    highs = [*(low - 1 for low in lows[1:]), int(total.max())]
    places = np.arange(len(lows))
    for history, offset, color, name in (
        (net, -0.2, _DARK, "differ from step 0"),
        (total, 0.2, _LIGHT, "all flips"),
    ):
        heights = np.histogram(history, [*lows, int(total.max()) + 1])[0]
        axes.bar(places + offset, heights, 0.4, color=color, label=name)
    labels = [f"{low}" if high <= low else f"{low}–{high}" for low, high in zip(lows, highs, strict=True)]
    axes.set_xticks(places, labels, rotation=40 if len(labels) > 7 else 0)
    axes.grid(False, axis="x")
    axes.set_xlabel(f"flips of a neuron ($n={seen.samples.net.size}$ samples)")
    axes.set_ylabel("neurons")
    axes.legend(frameon=False)


def _first(axes: Axes, seen: FlipLog) -> None:
    """Shares of the neurons and of the samples whose first flip is behind them."""
    for history, name, color, style in (
        (seen.neurons, "neurons", _DARK, "-"),
        (seen.samples, "samples", _LIGHT, "--"),
    ):
        flipped = np.sort(history.first[history.first >= 0])
        behind = np.searchsorted(flipped, seen.steps, side="right")
        axes.plot(seen.steps, 100.0 * behind / history.first.size, color=color, linestyle=style, label=name)
    axes.set_ylim(0.0, 103.0)
    axes.set_ylabel("per cent with a flip so far")
    axes.legend(frameon=False, loc="center right")
