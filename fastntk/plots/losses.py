"""The losses of several runs against the step: how fast gradient descent, heavy ball and Nesterov's method converge."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastntk.plots.protocols import Log
from fastntk.plots.style import LINES, MARKERS, thin_frame, width_color, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["contraction", "draw_losses", "plot_losses"]


def contraction(run: Log) -> float:
    """Factor of the loss per step over the second half of a run, ``(L(K) / L(k))^(1 / (K - k))`` with k near K / 2.

    Parameters
    ----------
    run : Run
        With at least two logged steps.

    Returns
    -------
    float
        Below 1 if the loss falls; NaN if it had reached 0 by then.

    Raises
    ------
    ValueError
        If fewer than two steps were logged.

    Examples
    --------
    >>> from fastntk import Run
    >>> contraction(Run(steps=[0, 1, 2, 3, 4], loss=[9.0, 4.0, 2.0, 1.0, 0.5]))
    0.5
    """
    if run.loss is None or run.steps.size < 2:
        raise ValueError(f"run: got {run.steps.size} logged steps, expected at least 2 with their loss")
    half = (run.steps.size - 1) // 2
    before, last = float(run.loss[half]), float(run.loss[-1])
    if not before > 0.0:
        return float("nan")
    return float((last / before) ** (1.0 / float(run.steps[-1] - run.steps[half])))


def plot_losses(runs: Mapping[str, Log], path: str | os.PathLike[str], dpi: int = 300) -> Path:
    """Draw the loss of each run on a logarithmic axis, with its `contraction` in the legend.

    Parameters
    ----------
    runs : mapping of str to Run
        Names for the legend and runs, such as one per optimizer.
    path, dpi
        As in `fastntk.plots.runs.plot_runs`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If there are no runs, one has fewer than two logged steps, or the file type is unknown.

    Notes
    -----
    On a quadratic whose curvatures lie between l and L, with the best steps and momenta, the loss falls per step by
    ``((q - 1) / (q + 1))^2`` with q = L / l for gradient descent and ``sqrt(L / l)`` for the heavy ball.

    Examples
    --------
    >>> import tempfile
    >>> from fastntk import Run
    >>> run = Run(steps=[0, 1, 2], loss=[4.0, 2.0, 1.0])
    >>> plot_losses({"gradient descent": run}, Path(tempfile.mkdtemp()) / "losses.png", dpi=50).name
    'losses.png'
    """
    if not runs:
        raise ValueError("runs: got none, expected at least one")
    factors = {name: contraction(run) for name, run in runs.items()}
    labels = {name: f"{name}: {factor:.4f} per step" for name, factor in factors.items()}
    return write_figure(lambda: draw_losses(runs, labels), path, dpi)


def draw_losses(
    runs: Mapping[str, Log],
    labels: Mapping[str, str],
    linearised: Mapping[str, npt.NDArray[np.float64]] | None = None,
) -> Figure:
    """Build the figure of `plot_losses` without writing it; curves of a linearised network are dotted over the runs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4.8, 3.9), layout="constrained")
    axes = figure.subplots()
    for index, (name, run) in enumerate(runs.items()):
        loss = run.series["loss"]
        (line,) = axes.semilogy(
            run.steps,
            loss,
            color=width_color(index, len(runs)),
            linestyle=LINES[index % len(LINES)] if linearised is None else "-",
            linewidth=1.2 if linearised is None else 2.6,
            alpha=1.0 if linearised is None else 0.6,
            marker=MARKERS[index % len(MARKERS)],
            markersize=4.0,
            markerfacecolor="white",
            markeredgewidth=0.9,
            markevery=max(1, loss.size // 8),
            label=labels[name],
        )
        if linearised is not None:
            line.set_solid_capstyle("butt")
            label = "linearised network" if index == len(runs) - 1 else None
            axes.plot(run.steps, linearised[name], "k:", linewidth=0.9, zorder=3, label=label)
    axes.set_xlabel("step $k$")
    axes.set_ylabel("training loss $L(k)$")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    thin_frame(axes)
    measured = np.concatenate([run.series["loss"] for run in runs.values()])
    positive = measured[measured > 0.0]
    if linearised is not None and positive.size:
        # The linearised curves go on where rounding ends those of the runs.
        axes.set_ylim(0.3 * positive.min(), 3.0 * positive.max())
    figure.legend(loc="outside upper left", frameon=False)
    return figure
