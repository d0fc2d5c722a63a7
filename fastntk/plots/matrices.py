"""Pictures of one Gram matrix: its eigenvalues, and its entries as a heat map.

Only Matplotlib's object interface is used: no window system, no global state.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import drop_pages
from fastntk.plots.style import thin_frame, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_heatmap", "draw_spectrum", "plot_heatmap", "plot_spectrum"]

_CELLS = 1000  # most rows and columns of a heat map: more would be finer than print
_STRIP = 2**24  # entries read at a time
_TAIL = 0.5  # per cent of the cells at each end that may lie beyond the colours


def plot_spectrum(values: npt.ArrayLike, path: str | os.PathLike[str], dpi: int = 300) -> Path:
    """Draw the eigenvalues of a matrix on a logarithmic axis, in descending order, and write the figure to `path`.

    Parameters
    ----------
    values : array_like, shape (n,)
        Eigenvalues in any order.
    path, dpi
        As in `fastntk.plots.runs.plot_runs`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError, TypeError
        For another file type, or values that are empty or not finite.
    OSError
        When the file cannot be written.

    Notes
    -----
    The smallest eigenvalue is marked with its value: lambda_0 of Du et al. (arXiv 1810.02054), Assumption 3.1, where
    the matrix is a limit.  Eigenvalues at or below zero (those that are zero in exact arithmetic come out with either
    sign) have no place on a logarithmic axis; their number is written into the figure.

    Examples
    --------
    >>> import tempfile
    >>> plot_spectrum([0.5, 2.0, 1.0], Path(tempfile.mkdtemp()) / "spectrum.png", dpi=50).name
    'spectrum.png'
    """
    return write_figure(lambda: draw_spectrum(values), path, dpi)


def draw_spectrum(values: npt.ArrayLike) -> Figure:
    """Build the figure of `plot_spectrum` without writing it."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    descending = np.sort(checks.array(values, "values", 1, np.float64))[::-1]
    positive = descending[descending > 0.0]
    figure = Figure(figsize=(4.4, 3.0), layout="constrained")
    axes = figure.subplots()
    places = np.arange(1, len(positive) + 1)
    few = len(positive) <= 60
    axes.plot(
        places,
        positive,
        color="#31688e",
        linewidth=1.2,
        marker="o" if few else None,
        markersize=3.4,
        markerfacecolor="white",
        markeredgewidth=0.9,
    )
    axes.set_yscale("log")
    _readable_decades(axes, positive, len(descending) - len(positive))
    axes.set_xlim(1 - 0.03 * len(descending), len(descending) * 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_title(f"Eigenvalues of a {len(descending)} x {len(descending)} Gram matrix", loc="left")
    axes.set_xlabel("index $i$, in descending order")
    axes.set_ylabel(r"eigenvalue $\lambda_i$")
    thin_frame(axes)
    _mark_smallest(axes, descending, positive)
    return figure


def _readable_decades(axes: Axes, positive: np.ndarray, missing: int) -> None:
    """Labels also between powers of ten where the spectrum spans few of them, and room below for the text."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if not positive.size:
        axes.set_ylim(0.1, 10)
        return
    ratio = max(positive[0] / positive[-1], 1.2)
    axes.set_ylim(positive[-1] / ratio ** (0.25 if missing else 0.14), positive[0] * ratio**0.06)
    if ratio < 100 and positive[-1] > 1e-3 and positive[0] < 1e4:
        between = [1.0, 2.0, 3.0, 5.0] if ratio > 4 else [part / 2 for part in range(2, 20)]
        axes.yaxis.set_major_locator(LogLocator(subs=between))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _mark_smallest(axes: Axes, descending: np.ndarray, positive: np.ndarray) -> None:
    """Point at the smallest eigenvalue, or say how many have no place on the axis."""
    smallest, missing = descending[-1], len(descending) - len(positive)
    text = rf"$\lambda_{{\min}}={_number(smallest)}$"
    if missing:
        text += f"\nnot drawn: {missing} eigenvalues at or below 0"
        axes.annotate(text, (0.02, 0.03), xycoords="axes fraction", ha="left", va="bottom")
        return
    axes.axhline(smallest, color="0.45", linewidth=0.9, linestyle=(0, (1.5, 2)))
    axes.plot([len(descending)], [smallest], marker="o", color="black", markersize=4.5, clip_on=False)
    axes.annotate(
        text,
        (0.01, smallest),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3),
        textcoords="offset points",
        ha="left",
        va="top",
    )


def _number(value: float) -> str:
    """Four digits, with a power of ten as mathematics writes it."""
    text = f"{value:.4g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return rf"{mantissa}\times 10^{{{int(exponent)}}}"


def plot_heatmap(H: Any, path: str | os.PathLike[str], dpi: int = 300) -> Path:
    """Draw the entries of a matrix as colours and write the figure to `path`.

    Parameters
    ----------
    H : array_like, memory map, HDF5 or Zarr array, shape (n, k)
        Read a part at a time.  Where n or k is above 1000, a cell shows the average of a block of entries.
    path, dpi
        As in `fastntk.plots.runs.plot_runs`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError, TypeError
        For another file type, or a matrix that is empty or not finite.
    OSError
        When the file cannot be written.

    Notes
    -----
    One pass over the matrix.  Blue and red are negative and positive; a matrix without negative cells has colours
    from dark to light.  Where few cells (a diagonal, say) lie far from all others, the colours cover the others and
    the ends of the colour bar are pointed.

    Examples
    --------
    >>> import tempfile
    >>> plot_heatmap([[1.0, 0.5], [0.5, 1.0]], Path(tempfile.mkdtemp()) / "H.png", dpi=50).name
    'H.png'
    """
    return write_figure(lambda: draw_heatmap(H), path, dpi)


def draw_heatmap(H: Any) -> Figure:
    """Build the figure of `plot_heatmap` without writing it."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    cells, (tall, wide) = block_averages(H)
    n, k = H.shape if hasattr(H, "shape") else cells.shape
    low, high, extend = _colour_range(cells)
    figure = Figure(figsize=(4.4, 3.7), layout="compressed")
    axes = figure.subplots()
    image = axes.imshow(
        cells,
        cmap="RdBu_r" if low < 0 else "viridis",
        vmin=low,
        vmax=high,
        extent=(0.5, k + 0.5, n + 0.5, 0.5),
        interpolation="nearest" if max(cells.shape) <= 300 else "antialiased",
        aspect="equal" if max(n, k) <= 4 * min(n, k) else "auto",
    )
    averaged = f", averages of {tall} x {wide} entries" if tall * wide > 1 else ""
    axes.set_title(f"{n} x {k} Gram matrix{averaged}", loc="left")
    axes.set_xlabel("sample $j$")
    axes.set_ylabel("sample $i$")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    bar = figure.colorbar(image, ax=axes, extend=extend, fraction=0.046, pad=0.03)
    bar.set_label("$H_{ij}$")
    bar.outline.set_linewidth(0.6)
    return figure


def block_averages(H: Any, most: int = _CELLS) -> tuple[np.ndarray, tuple[int, int]]:
    """Averages of blocks of `H`, at most `most` each way, and the height and width of a block."""
    matrix = H if hasattr(H, "shape") else checks.matrix(H, "H", np.float64)
    if len(matrix.shape) != 2 or 0 in matrix.shape:
        raise ValueError(f"H must be a matrix and not empty, got shape {tuple(matrix.shape)}")
    n, k = matrix.shape
    tall, wide = -(-n // most), -(-k // most)
    lefts = np.arange(0, k, wide)
    widths = np.diff([*lefts, k])
    cells = np.empty((-(-n // tall), len(lefts)))
    step = max(1, _STRIP // (tall * k))  # rows of cells at a time
    for first in range(0, len(cells), step):
        top = first * tall
        strip = checks.matrix(matrix[top : min(top + step * tall, n)], "H", np.float64)
        tops = np.arange(0, len(strip), tall)
        sums = np.add.reduceat(np.add.reduceat(strip, tops, axis=0), lefts, axis=1)
        cells[first : first + step] = sums / np.outer(np.diff([*tops, len(strip)]), widths)
        if isinstance(matrix, np.memmap) and matrix.mode == "r":
            drop_pages(matrix)
    return cells, (tall, wide)


def _colour_range(cells: np.ndarray) -> tuple[float, float, str]:
    """Values at the ends of the colours, around 0 if there are negative ones, and which ends are exceeded."""
    least, largest = float(cells.min()), float(cells.max())
    low, high = (float(part) for part in np.percentile(cells, [_TAIL, 100 - _TAIL]))
    if high - low >= 0.5 * (largest - least):
        low, high = least, largest
    if low < 0 < high:
        high = max(-low, high)
        low = -high
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    ends = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    return low, high, ends[least < low, largest > high]
