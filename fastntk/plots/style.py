"""What all figures share: fonts, lines that differ in print, and how a figure becomes a file or bytes.

Only Matplotlib's object interface is used: no window system, no global state.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastntk.base.storage import atomic_write, user_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = ["-", (0, (5, 1.5)), (0, (3, 1.2, 1, 1.2)), (0, (1, 1.1)), (0, (6, 1.2, 1, 1.2, 1, 1.2))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
_SUFFIXES = (".png", ".pdf", ".svg")
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "mathtext.fontset": "dejavusans",
    "text.usetex": False,
    "pdf.fonttype": 42,  # text in the PDF stays text
    "svg.fonttype": "none",
}


def write_figure(draw: Callable[[], Figure], path: str | os.PathLike[str], dpi: int) -> Path:
    """Draw in the package's style and write the file, in the format that its name ends in."""
    suffix = figure_suffix(path)
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        figure = draw()
        with atomic_write(path) as file:
            figure.savefig(file, format=suffix[1:], dpi=dpi)
    return user_path(path)


def rendered(draw: Callable[[], Figure], kind: str, dpi: int) -> bytes:
    """Draw in the package's style; the bytes of a file of that kind, "png", "pdf" or "svg"."""
    import matplotlib

    with matplotlib.rc_context(_STYLE), io.BytesIO() as file:
        draw().savefig(file, format=kind, dpi=dpi)
        return file.getvalue()


def figure_suffix(path: str | os.PathLike[str], name: str = "path") -> str:
    """The ending of `path`, one of the known formats."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"{name}: got {str(path)!r}, expected a file name ending in {', '.join(_SUFFIXES)}")
    return suffix


def panels(count: int, room: float) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, two in a row, and `room` inches of height for what stands above them."""
    from matplotlib.figure import Figure

    columns = min(2, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.5 * columns, 2.35 * rows + room), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def thin_frame(axes: Axes) -> None:
    """A pale grid behind the curves, and a frame on two sides."""
    axes.grid(True, linewidth=0.4, color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def width_color(index: int, count: int) -> Any:
    """Colour `index` of `count` from light (narrow) to dark (wide), without the map's palest end."""
    from matplotlib import colormaps

    place = 0.0 if count == 1 else 0.8 * (1 - index / (count - 1))
    return colormaps["viridis"](place)
