"""The figure of a sweep: how loss, activation patterns, weights and kernel move during training.

Panels, one curve per width: log training loss, fraction of activation bits that differ from step 0, largest
distance of a neuron from its start, smallest eigenvalue of H(k) against that of the limit. Colour, line style
and marker all tell the widths apart, and the colours darken steadily with the width, so a grey print stays
readable. Only Matplotlib's object interface is used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np

from fastntk.plots.curves import draw_curve, name_widths, widths_of
from fastntk.plots.layers import draw_layers
from fastntk.plots.protocols import Log
from fastntk.plots.style import panels, thin_frame, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_runs", "plot_runs"]

PANELS: dict[str, tuple[str, str, float]] = {
    "loss": ("Training loss", r"training loss $L(k)$", 1.0),
    "flips": ("Changed activation patterns", "activation patterns changed [%]", 100.0),
    "drift": ("Largest distance of a neuron from its start", r"$\max_r\,\Vert w_r(k)-w_r(0)\Vert_2$", 1.0),
    "lambda_min": ("Smallest eigenvalue of the Gram matrix", r"$\lambda_{\min}(H(k))$", 1.0),
}
"""Series, title, axis label, factor."""


def plot_runs(
    runs: Sequence[Log], path: str | os.PathLike[str], limit: dict[str, Any] | None = None, dpi: int = 300
) -> Path:
    """Draw `runs` and write the figure to `path`.

    Parameters
    ----------
    runs : sequence of Run
        Runs of one width (several seeds) are drawn as their median with a band from smallest to largest.
    path : str or path-like
        Ends in .png, .pdf or .svg.
    limit : dict, optional
        ``lambda_0`` of the infinite-width Gram matrix, for the reference lines.
    dpi : int
        Resolution of a .png.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        For another file type, or when the runs carry none of the series that are drawn.
    OSError
        When the file cannot be written.

    Notes
    -----
    Cost: about a second, most of it Matplotlib's import. Panels whose metric was not logged are left out.

    Examples
    --------
    >>> import tempfile
    >>> from fastntk import Run
    >>> run = Run(steps=[0, 1, 2], loss=[4.0, 2.0, 1.0], provenance={"width": 8, "seed": 0})
    >>> plot_runs([run], Path(tempfile.mkdtemp()) / "loss.png", dpi=50).name
    'loss.png'
    """
    return write_figure(lambda: draw_runs(runs, limit), path, dpi)


def draw_runs(runs: Sequence[Log], limit: dict[str, Any] | None = None) -> Figure:
    """Build the figure without writing it.

    Parameters
    ----------
    runs, limit
        As in `plot_runs`.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per series present; of several hidden layers a row of panels for each (`fastntk.plots.layers`).

    Raises
    ------
    ValueError
        When there is nothing to draw.

    Notes
    -----
    Reference lines, Du, Zhai, Poczos and Singh, arXiv 1810.02054: lambda_0 of the limit and the lambda_0/2
    above which the proof keeps H(k) (section 3); the rate ``(1 - lr lambda_0/2)^k L(0)`` of their theorem on
    gradient descent, or ``exp(-lambda_0 t) L(0)`` of that on gradient flow, drawn from the largest L(0) and only where
    it applies (first layer trained, unit rows).

    Examples
    --------
    >>> from fastntk import Run
    >>> run = Run(steps=[0, 1], loss=[2.0, 1.0], drift=[0.0, 0.1], provenance={"width": 8, "seed": 0})
    >>> [axes.get_title(loc="left") for axes in draw_runs([run]).axes]
    ['(a) Training loss', '(b) Largest distance of a neuron from its start']
    """
    if any(values.ndim > 1 for run in runs for values in run.series.values()):
        return draw_layers(runs, limit)
    names = [name for name in PANELS if any(name in run.series for run in runs)]
    if not names:
        raise ValueError(f"runs: none of them carries a series to draw ({', '.join(PANELS)})")
    figure, grid = panels(len(names), 0.55)
    widths = widths_of(runs)
    for letter, name, axes in zip(ascii_lowercase, names, grid, strict=False):
        _frame(axes, name, letter, flow=runs[0].times is not None)
        for index, width in enumerate(widths):
            group = [run for run in runs if run.width == width and name in run.series]
            if group:
                values = np.array([run.series[name] for run in group]) * PANELS[name][2]
                draw_curve(axes, group[0].places, values, str(width), index, len(widths))
        if limit:
            _reference(axes, name, runs, limit)
    figure.align_ylabels()
    name_widths(figure, grid[0], runs)
    return figure


def _frame(axes: Axes, name: str, letter: str, flow: bool) -> None:
    """Title, labels, scales and grid of one panel."""
    from matplotlib.ticker import MaxNLocator

    title, label, _ = PANELS[name]
    axes.set_title(f"({letter}) {title}", loc="left")
    axes.set_xlabel(r"time $t$ of gradient flow" if flow else r"gradient descent step $k$")
    axes.set_ylabel(label.replace("(k)", "(t)") if flow else label)
    thin_frame(axes)
    if name == "loss":
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=not flow, steps=[1, 2, 5, 10]))


def _reference(axes: Axes, name: str, runs: Sequence[Log], limit: dict[str, Any]) -> None:
    """Lines of the theory in the panels it speaks about."""
    lambda_0 = limit["lambda_0"]
    if name == "lambda_min":
        _limit_lines(axes, lambda_0)
    losses = [run.loss[0] for run in runs if run.loss is not None]
    applies = limit.get("unit_rows") and all(run.provenance.get("layers", "first") == "first" for run in runs)
    if name == "loss" and applies and (rate := _rate(runs, lambda_0)) is not None:
        places, factors, text = rate
        bound = max(losses) * factors
        axes.plot(places, bound, color="0.45", linewidth=0.9, linestyle=(0, (1.5, 2)))
        axes.annotate(
            text,
            (places[-1], bound[-1]),
            # Below the line: a falling line leaves room under its right end, not above it.
            xytext=(0, -3),
            textcoords="offset points",
            ha="right",
            va="top",
        )


def _rate(runs: Sequence[Log], lambda_0: float) -> tuple[Any, Any, str] | None:
    """Where, what and the name of the factor by which the theory bounds the loss; None where there is none."""
    if runs[0].times is not None:
        return runs[0].times, np.exp(-lambda_0 * runs[0].times), r"bound $e^{-\lambda_0 t}\,L(0)$"
    lr = runs[0].lr
    if lr is None or len({run.lr for run in runs}) > 1 or not 0 < lr * lambda_0 < 2:
        return None
    steps = np.arange(runs[0].steps[-1] + 1)
    return steps, (1 - lr * lambda_0 / 2) ** steps, r"bound $(1-\eta\lambda_0/2)^k\,L(0)$"


def _limit_lines(axes: Axes, lambda_0: float) -> None:
    """Mark lambda_0, and lambda_0/2 where the curves come near it; elsewhere it would only squeeze them."""
    lowest, highest = axes.dataLim.intervaly
    lines: list[tuple[float, str, str, Any]] = [
        (lambda_0, r"limit: $\lambda_0=\lambda_{\min}(H^\infty)$", "black", (0, (7, 3)))
    ]
    if lowest < 0.7 * lambda_0:
        lines.append((lambda_0 / 2, r"$\lambda_0/2$", "0.45", (0, (1.5, 2))))
    for height, text, color, style in lines:
        axes.axhline(height, color=color, linewidth=0.9, linestyle=style)
        place: dict[str, Any] = {
            "xycoords": ("axes fraction", "data"),
            "xytext": (0, 2),
            "textcoords": "offset points",
        }
        axes.annotate(text, (0.99, height), ha="right", va="bottom", **place)
    lowest, highest = min(lowest, lines[-1][0]), max(highest, lambda_0)
    span = max(highest - lowest, 0.02 * highest)
    axes.set_ylim(lowest - 0.06 * span, highest + 0.16 * span)  # headroom for the label
