"""The figure of runs with several hidden layers: the loss and the whole kernel above, then a row for each layer.

Panels of a row: changed patterns, largest distance of a neuron from its start, smallest eigenvalue of the layer's Gram
matrix against that of its limit.  All panels of a column share their scale, so that layers can be compared; the row of
the output has its Gram matrix alone, and is there where the output moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastntk.plots.curves import draw_curve, name_widths, widths_of
from fastntk.plots.protocols import Log
from fastntk.plots.style import thin_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLUMNS", "TOP", "draw_layers"]

TOP = {"loss": ("Training loss", 1.0), "lambda_min_total": (r"$\lambda_{\min}(\sum_h G^{(h)}(k))$", 1.0)}
COLUMNS = {
    "flips": ("patterns changed [%]", 100.0),
    "drift": (r"$\max_r\,\Vert w_r(k)-w_r(0)\Vert_2$", 1.0),
    "lambda_min": (r"$\lambda_{\min}(G^{(h)}(k))$", 1.0),
}
"""Series, title, factor."""


def draw_layers(runs: Sequence[Log], limit: dict[str, Any] | None = None) -> Figure:
    """Build the figure without writing it; arguments as of `fastntk.plots.runs.draw_runs`."""
    from matplotlib.figure import Figure

    columns = [name for name in COLUMNS if any(name in run.series for run in runs)]
    above = [name for name in TOP if any(name in run.series for run in runs)]
    rows = _rows(runs, columns)
    across = max(len(columns), len(above))
    figure = Figure(figsize=(2.6 * across + 0.4, 1.55 * (rows + 1) + 0.6), layout="constrained")
    grid = figure.subplots(rows + 1, across, squeeze=False)
    for axes, name in zip(grid[0], above, strict=False):
        _fill(axes, runs, name, None, TOP[name][1])
        axes.set_title(TOP[name][0], loc="left")
    if "loss" in above:
        grid[0, above.index("loss")].set_yscale("log")
    if limit and "lambda_min_total" in above:
        _mark(grid[0, above.index("lambda_min_total")], limit["lambda_0"])
        _name_marks(grid[0, above.index("lambda_min_total")], limit["lambda_0"])
    of_layer = dict(zip(limit["layers"], limit["lambda_0_of_layers"], strict=True)) if limit else {}
    for column, name in enumerate(columns):
        filled = []
        for layer in range(1, rows + 1):
            axes = grid[layer, column]
            if _fill(axes, runs, name, layer - 1, COLUMNS[name][1]):
                filled.append(axes)
                if name == "lambda_min" and layer in of_layer:
                    _mark(axes, of_layer[layer])
        _share_scale(filled, name)
        if filled:
            filled[0].set_title(COLUMNS[name][0], loc="left")
    _tidy(grid)
    hidden = max(run.depth for run in runs)
    for layer in range(1, rows + 1):
        shown = next((axes for axes in grid[layer] if axes.axison), None)
        if shown is not None:
            shown.set_ylabel(f"layer {layer}" if layer <= hidden else "output")
    name_widths(figure, grid[0, 0], runs)
    return figure


def _rows(runs: Sequence[Log], columns: Sequence[str]) -> int:
    """Layers that have anything to show."""
    count = 0
    for run in runs:
        for name in columns:
            seen: Any = (
                np.flatnonzero(np.isfinite(run.series[name]).any(axis=0)) if name in run.series else []
            )
            count = max(count, *(int(layer) + 1 for layer in seen), 0)
    return count


def _fill(axes: Axes, runs: Sequence[Log], name: str, layer: int | None, factor: float) -> bool:
    """Draw the curves of one panel; whether there are any."""
    widths, drawn = widths_of(runs), False
    for index, width in enumerate(widths):
        group = [run for run in runs if run.width == width and name in run.series]
        values = [
            run.series[name] if layer is None else run.series[name][:, layer : layer + 1] for run in group
        ]
        kept = [part.reshape(len(part)) * factor for part in values if part.size and np.isfinite(part).any()]
        if kept:
            draw_curve(axes, group[0].places, np.array(kept), str(width), index, len(widths))
            drawn = True
    return drawn


def _mark(axes: Axes, height: float) -> None:
    """The limit of an eigenvalue, and the half of it above which the theory keeps it."""
    axes.axhline(height, color="black", linewidth=0.9, linestyle=(0, (7, 3)))
    axes.axhline(height / 2, color="0.45", linewidth=0.9, linestyle=(0, (1.5, 2)))


def _name_marks(axes: Axes, height: float) -> None:
    """Say, in one panel for all, what the lines are."""
    for place, text in ((height, "infinite width"), (height / 2, "half of it")):
        axes.annotate(
            text, (0.99, place), xycoords=("axes fraction", "data"), xytext=(0, 2), textcoords="offset points",
            ha="right", va="bottom",
        )  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * (high - low))  # headroom for the words


def _share_scale(panels: list[Axes], name: str) -> None:
    """One scale for the column; eigenvalues keep their own, since their limits differ by powers of two."""
    if not panels or name == "lambda_min":
        return
    highest = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(0.0, highest)


def _tidy(grid: Any) -> None:
    """Remove empty panels, name the places under the lowest ones, and thin the frames."""
    from matplotlib.ticker import MaxNLocator

    for column in grid.T:
        filled = [axes for axes in column if axes.get_lines()]
        for axes in column:
            if axes not in filled:
                axes.set_axis_off()
                continue
            thin_frame(axes)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], nbins=5))
        if filled:
            filled[-1].set_xlabel(r"gradient descent step $k$")
