"""The figure of scale: where runs end, against their width over decades, with fitted powers beside -1/2.

Panels: activation bits changed, largest distance of a neuron from its start and change of the kernel at the last step,
and the distance of the kernel at the start from its limit.  Dots are runs.  The solid line is the least-squares power
law, the mean over seeds of those of each (widths share their neurons within a seed, seeds share nothing); the dashed
one has the slope -1/2 of the theory and starts at the narrowest width.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastntk.plots.protocols import Log
from fastntk.plots.style import panels, thin_frame, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PANELS", "draw_scaling", "ends", "plot_scaling", "power", "spans_decade"]

PANELS: dict[str, tuple[str, str, int, float]] = {
    "flips": ("Changed activation patterns", "activation patterns changed [%]", -1, 100.0),
    "drift": (
        "Largest distance of a neuron from its start",
        r"$\max_r\,\Vert w_r(k)-w_r(0)\Vert_2$",
        -1,
        1.0,
    ),
    "gram_change": ("Change of the kernel", r"$\Vert H(k)-H(0)\Vert_2$", -1, 1.0),
    "gram_limit_distance": ("Distance of its start from the limit", r"$\Vert H(0)-H^\infty\Vert_2$", 0, 1.0),
}
"""Series, title, axis label, place in the log, factor."""

_COLOR = "#31688e"


def plot_scaling(runs: Sequence[Log], path: str | os.PathLike[str], dpi: int = 300) -> Path:
    """Draw `runs` of several widths and write the figure to `path`.

    Parameters
    ----------
    runs : sequence of Run
        Of at least two widths, every seed at every width.
    path, dpi
        As in `fastntk.plots.runs.plot_runs`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        For a single width, and as `plot_runs`; cost and missing series as there.

    Notes
    -----
    Du et al. (arXiv 1810.02054), Sections 3 and 4: all four panels fall like ``m^(-1/2)``.

    Examples
    --------
    >>> import tempfile
    >>> from fastntk import Run
    >>> runs = [
    ...     Run(steps=[0, 1], drift=[0.0, w**-0.5], provenance={"width": w, "seed": 0}) for w in (10, 100, 1000)
    ... ]
    >>> plot_scaling(runs, Path(tempfile.mkdtemp()) / "scaling.png", dpi=50).name
    'scaling.png'
    """
    return write_figure(lambda: draw_scaling(runs), path, dpi)


def spans_decade(runs: Sequence[Log]) -> bool:
    """Whether the widths differ by a factor of ten, and there is something to draw."""
    widths = [run.width for run in runs]
    return max(widths) >= 10 * min(widths) and any(_carried(runs, name) for name in PANELS)


def ends(runs: Sequence[Log], name: str) -> tuple[list[int], NDArray[np.float64]]:
    """The widths, ascending, and the value drawn of each width and seed, nan where there is no such run."""
    widths, seeds = sorted({run.width for run in runs}), sorted({run.seed or 0 for run in runs})
    table = np.full((len(widths), len(seeds)), np.nan)
    _, _, place, factor = PANELS[name]
    for run in runs:
        table[widths.index(run.width), seeds.index(run.seed or 0)] = run.series[name][place] * factor
    return widths, table


def power(widths: Sequence[int], table: NDArray[np.float64]) -> tuple[float, float] | None:
    """Exponent and factor of ``factor m^exponent``, fitted to each seed; None if some values are not positive."""
    if not (table > 0.0).all():
        return None
    slopes, intercepts = np.polyfit(np.log(widths), np.log(table), 1)
    return float(slopes.mean()), float(np.exp(intercepts.mean()))


def draw_scaling(runs: Sequence[Log]) -> Figure:
    """Build the figure without writing it; the arguments and errors of `plot_scaling`."""
    if len({run.width for run in runs}) < 2:
        raise ValueError("runs: need at least two widths to draw something against the width")
    names = [name for name in PANELS if _carried(runs, name)]
    if not names:
        raise ValueError(f"runs: none of them carries a series to draw ({', '.join(PANELS)})")
    figure, grid = panels(len(names), 0.3)
    for letter, name, axes in zip(ascii_lowercase, names, grid, strict=False):
        _panel(axes, letter, name, runs)
    figure.align_ylabels()
    return figure


def _carried(runs: Sequence[Log], name: str) -> bool:
    return all(name in run.series for run in runs)


def _panel(axes: Axes, letter: str, name: str, runs: Sequence[Log]) -> None:
    title, label, _, _ = PANELS[name]
    axes.set_title(f"({letter}) {title}", loc="left")
    axes.set_xlabel("width $m$")
    axes.set_ylabel(label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    thin_frame(axes)
    widths, table = ends(runs, name)
    across = np.array(widths, dtype=np.float64)
    _name_widths(axes, widths)
    axes.plot(across, table, "o", markersize=3.4, color=_COLOR, markerfacecolor="white", markeredgewidth=0.9)
    if (fitted := power(widths, table)) is not None:
        slope, factor = fitted
        axes.plot(
            across, factor * across**slope, color=_COLOR, linewidth=1.2, label=f"fit: $m^{{{slope:.3f}}}$"
        )
    start = float(np.nanmedian(table[0]))
    axes.plot(
        across, start * (across / across[0]) ** -0.5, color="0.45", linewidth=0.9, linestyle="--", label="$m^{-1/2}$"
    )  # fmt: skip
    axes.legend(frameon=False)


def _name_widths(axes: Axes, widths: Sequence[int]) -> None:
    """Ticks at the widths themselves, as many as have room."""
    apart = (widths[-1] / widths[0]) ** 0.17
    shown = [widths[0]]
    for width in widths[1:]:
        if width >= apart * shown[-1]:
            shown.append(width)
    axes.set_xticks(shown, [_short(width) for width in shown])
    axes.set_xticks([], minor=True)


def _short(width: int) -> str:
    """A width below 10^5 as it is, others as multiples of powers of ten."""
    if width < 10**5:
        return str(width)
    power = len(str(width)) - 1
    multiple = width / 10**power
    return f"$10^{{{power}}}$" if multiple == 1.0 else rf"${multiple:.3g}\!\cdot\!10^{{{power}}}$"
