"""The arguments of `limit_gram`, checked: its points, what is known of their lengths, and its options."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.device import checks as device_checks
from fastntk.device.arrays import in_precision, on_host, upload
from fastntk.kernels.cpu.limit import BOTH, FIRST, SECOND, TERM, Points
from fastntk.matrices import rows

_LAYERS = {"first": FIRST, "second": SECOND, "both": BOTH}

Layers = str | int
# Products of rows with lengths within 2^-s ... 2^s neither overflow nor lose digits.
_SAFE = {"f": 40, "d": 400}


def checked(
    X: Any, Z: Any, layers: Layers, depth: int, scale: float, dtype: npt.DTypeLike, name: str = "Z"
) -> tuple[Points, Points, rows.Lengths, np.dtype, tuple[int, int, float]]:
    """Both sets of points, which are one without Z, the lengths of the first, precision and options."""
    options = options_of(layers, depth, scale)
    kind = checks.floating_dtype(dtype)
    samples = device_checks.matrix(X, "X")
    found = rows.measure(samples, "X")
    points = _points(samples, found, "X", kind, *options)
    if Z is None:
        return points, points, found, kind, options
    second = device_checks.matrix(Z, name)
    others = _points(second, rows.measure(second, name), name, kind, *options)
    checks.same_columns(samples, "X", second, name)
    return points, others, found, kind, options


def options_of(layers: Layers, depth: int, scale: float) -> tuple[int, int, float]:
    """The checked options: which layers, how many, and the factor ``(scale^2 / 2)^depth``."""
    depth = checks.integer(depth, "depth", 1)
    if isinstance(layers, str):
        kind = _LAYERS[checks.choice(layers, "layers", tuple(_LAYERS))]
    else:
        number = checks.integer(layers, "layers", 1)
        if number > depth + 1:
            raise ValueError(f"layers must be at most {depth + 1} for depth {depth}, got {number}")
        ends = {depth + 1: SECOND, depth: FIRST if depth == 1 else TERM + depth}
        kind = ends.get(number, TERM + number)
    if kind == FIRST and depth > 1:
        raise ValueError(f"depth must be 1 for layers='first' (deeper: 'second' or 'both'), got {depth}")
    try:
        factor = (checks.positive(scale, "scale") ** 2 / 2) ** depth
    except OverflowError:
        factor = math.inf
    if not 0.0 < factor < math.inf:
        raise ValueError(
            f"scale must keep (scale^2 / 2)^depth within float64, got scale={scale!r} at depth {depth}: {factor}"
        )
    return kind, depth, factor


def _points(
    exact: Any, found: rows.Lengths, name: str, kind: np.dtype, layers: int, depth: int, factor: float
) -> Points:
    """Points in the precision of the result, where they are; what is known of their lengths is the host's."""
    exponents, *vectors = lengths_for(found, name, kind, layers, depth, factor)
    unit = exact
    if exponents is not None:
        unit = np.ldexp(on_host(exact).astype(np.float64), -exponents[:, np.newaxis])
        unit = unit if isinstance(exact, np.ndarray) else upload(unit)
    return Points(in_precision(unit, kind), exact, *vectors)


def lengths_for(
    found: rows.Lengths, name: str, kind: np.dtype, layers: int, depth: int, factor: float
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the kernel wants to know of the lengths of rows: the last four parts of `Points`.

    Before them the powers of two by which the rows must be divided for the product, if they must.
    """
    squares, lengths = found.squares * factor, found.lengths
    checks.representable(
        squares * (depth + 1 if layers == BOTH else 1), f"the diagonal, from the rows of {name},", kind
    )
    used, exponents = lengths, None
    present = lengths[lengths > 0.0]
    if present.size and present.min() < np.finfo(np.float64).tiny:  # its inverse would be infinite
        raise ValueError(
            f"{name} must have rows that are zero or longer than 2.3e-308, got one of {present.min():.3g}"
        )
    if present.size and not (
        2.0 ** -_SAFE[kind.char] < present.min() and present.max() < 2.0 ** _SAFE[kind.char]
    ):
        exponents = np.frexp(lengths)[1]  # powers of two change no digit
        used = np.ldexp(lengths, -exponents)
    inverse = np.divide(1.0, used, out=np.zeros_like(used), where=used > 0.0)
    size = lengths * math.sqrt(factor)
    return exponents, inverse.astype(kind), lengths, size.astype(kind), squares.astype(kind)
