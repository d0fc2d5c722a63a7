"""Results as notebooks show them: small tables and curves as HTML, made of nothing but text."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Curve", "curves", "table"]

Curve = tuple[str, npt.ArrayLike, npt.ArrayLike]
"""A label, where and how much."""

_WIDTH, _HEIGHT, _MARGIN = 260, 130, 6
_COLORS = ("#1f77b4", "#e07b00", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")


def table(header: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> str:
    """Rows of anything; numbers get five digits.

    Examples
    --------
    >>> table(["a"], [[1.0]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>'
    """
    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    body = "".join("<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>" for row in rows)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def curves(title: str, lines: Sequence[Curve], log: bool = False) -> str:
    """A picture of some curves, SVG; on a logarithmic axis if asked for, where all values are above 0.

    What is not finite is left out.  The text has the colour of the page's text.
    """
    parts = [(name, np.asarray(x, float), np.asarray(y, float)) for name, x, y in lines]
    if log:
        log = all((y[np.isfinite(y)] > 0.0).all() for _, _, y in parts)
    points = []
    for name, x, y in parts:
        kept = np.isfinite(x) & np.isfinite(y)
        points.append((name, x[kept], np.log10(y[kept]) if log else y[kept]))
    xs, ys = (np.concatenate([part[k] for part in points]) for k in (1, 2))
    drawn = "".join(
        f'<polyline fill="none" stroke="{_COLORS[k % len(_COLORS)]}" stroke-width="1.5" '
        f'points="{_points(x, y, xs, ys)}"><title>{html.escape(name)}</title></polyline>'
        for k, (name, x, y) in enumerate(points)
    )
    ends = [10.0**end if log else end for end in (ys.min(), ys.max())] if ys.size else [math.nan, math.nan]
    words = f"{title}: {_text(ends[0])} to {_text(ends[1])}" + (", logarithmic" if log else "")
    return (
        f'<svg role="img" width="{_WIDTH}" height="{_HEIGHT + 20}" style="margin:4px">'
        f'<rect x="0.5" y="20.5" width="{_WIDTH - 1}" height="{_HEIGHT - 1}" fill="none" stroke="currentColor" '
        f'stroke-opacity="0.3"/><text x="2" y="13" font-size="11" fill="currentColor">{html.escape(words)}</text>'
        f"{drawn}</svg>"
    )


def _points(x: np.ndarray, y: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> str:
    """The points of a curve on the paper that all of them share."""
    across = _share(x, xs) * (_WIDTH - 2 * _MARGIN) + _MARGIN
    down = (1.0 - _share(y, ys)) * (_HEIGHT - 2 * _MARGIN) + _MARGIN + 20
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))


def _share(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Where values are between the least and the largest."""
    if not values.size:
        return values
    low, span = float(of.min()), float(np.ptp(of))
    return (values - low) / span if span > 0.0 else np.full(values.shape, 0.5)


def _text(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else html.escape(str(value))
