"""Curves of several widths in one panel, and their names above the figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastntk.plots.protocols import Log
from fastntk.plots.style import LINES, MARKERS, width_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_curve", "name_widths", "widths_of"]


def widths_of(runs: Sequence[Log]) -> list[int]:
    """The widths, ascending."""
    return sorted({run.width for run in runs})


def draw_curve(
    axes: Axes, places: NDArray[np.float64], values: NDArray[np.float64], label: str, index: int, count: int
) -> None:
    """Draw curve ``index`` of ``count``: the only row of the values, or the median of the rows and their range."""
    color = width_color(index, count)
    gap = max(1, len(places) // 8)
    axes.plot(
        places,
        np.median(values, axis=0),
        color=color,
        linestyle=LINES[index % len(LINES)],
        linewidth=1.2,
        marker=MARKERS[index % len(MARKERS)],
        markersize=3.4,
        markerfacecolor="white",
        markeredgewidth=0.9,
        markevery=(index * gap // max(count, 1), gap),
        label=label,
    )
    if len(values) > 1:
        axes.fill_between(
            places, values.min(axis=0), values.max(axis=0), color=color, alpha=0.22, linewidth=0
        )


def name_widths(figure: Figure, axes: Axes, runs: Sequence[Log]) -> None:
    """Name the widths once, above the panels."""
    handles, labels = axes.get_legend_handles_labels()
    seeds = len({run.seed for run in runs})
    figure.legend(
        handles,
        labels,
        title="width $m$" + (f" (median and range of {seeds} seeds)" if seeds > 1 else ""),
        loc="outside upper center",
        ncols=min(len(handles), 8),
        frameon=False,
        handlelength=3.2,
        columnspacing=1.6,
        title_fontsize=8,
    )
