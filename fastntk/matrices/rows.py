"""Lengths of the samples, and the warning about samples that make a Gram matrix singular."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from fastntk.base.errors import SingularGramWarning
from fastntk.compilation.threads import kernel_threads
from fastntk.device.arrays import on_host
from fastntk.device.dispatch import backend
from fastntk.kernels.cpu.rows import LANES, row_lengths
from fastntk.kernels.scratch import thread_slots

_SHOWN = 3  # pairs named in a warning
_SAME = 8 * float(np.finfo(np.float64).eps)  # |x/|x| - z/|z|| of parallel rows, by rounding alone


class Lengths(NamedTuple):
    """Of each row: the squared length, the length, and the product with a fixed random direction, in float64."""

    squares: np.ndarray
    lengths: np.ndarray
    projections: np.ndarray


def measure(X: Any, name: str) -> Lengths:
    """Lengths of the rows of a checked matrix, also of one on a GPU; a square beyond float64 is an error."""
    direction = np.random.default_rng(0).standard_normal(X.shape[1])
    if isinstance(X, np.ndarray):
        found = Lengths(np.empty(len(X)), np.empty(len(X)), np.empty(len(X)))
        with kernel_threads():
            row_lengths(X, direction, np.empty((thread_slots(), 2, LANES)), *found)
    else:
        with backend() as gpu:
            found = Lengths(*gpu.row_lengths(X, direction))
    if not np.isfinite(found.squares).all():
        row = int(np.argmin(np.isfinite(found.squares)))
        raise ValueError(
            f"{name} must have rows whose squared length is finite in float64, got row {row} beyond that"
        )
    return found


def warn_parallel_rows(
    X: Any, name: str, found: Lengths | None = None, opposite: bool = True, stacklevel: int = 3
) -> None:
    """Warn if rows are zero, multiples of each other or, if asked, opposite: lambda_min is (or may be) zero then.

    Candidates are rows whose unit vectors have the same product with a random direction, up to sign and rounding; each
    is compared in full with the next one.  Cost: 2 n d multiply-adds (none with `found`, their lengths) and a sort.
    """
    found = measure(X, name) if found is None else found
    zero = np.flatnonzero(found.lengths == 0.0)
    if zero.size:
        text = f"row {zero[0]} of {name} is zero" + (f" (and {zero.size - 1} more)" if zero.size > 1 else "")
        warnings.warn(
            f"{text}: lambda_min of its Gram matrix is 0", SingularGramWarning, stacklevel=stacklevel
        )
    first, second, same = _parallel_pairs(X, found)
    if same.any():
        pairs = _pairs_text(first[same], second[same], name)
        text = f"{pairs} are positive multiples of each other: lambda_min of their Gram matrix is 0"
        warnings.warn(text, SingularGramWarning, stacklevel=stacklevel)
    if opposite and not same.all():
        pairs = _pairs_text(first[~same], second[~same], name)
        text = (
            f"{pairs} point in opposite directions: at depth 1, lambda_min of their Gram matrix is 0 once such rows, "
            f"one of each pair, are linearly dependent (as beyond {X.shape[1]} pairs)"
        )
        warnings.warn(text, SingularGramWarning, stacklevel=stacklevel)


def parallel_rows(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs (i, j), i < j, of rows of a checked matrix on one line through 0, and whether they point the same way."""
    return _parallel_pairs(X, measure(X, "X"))


def _parallel_pairs(X: Any, found: Lengths) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of rows on one line through 0, and whether they point the same way."""
    rows = np.flatnonzero(found.lengths > 0.0)
    keys = np.abs(found.projections[rows] / found.lengths[rows])
    order = np.argsort(keys, kind="stable")
    close = np.diff(keys[order]) <= 1e-12 * X.shape[1] ** 0.5
    first, second = rows[order[:-1][close]], rows[order[1:][close]]
    first, second = np.minimum(first, second), np.maximum(first, second)
    if first.size:
        X = on_host(X)
    parallel, same = np.zeros(len(first), dtype=bool), np.zeros(len(first), dtype=bool)
    step = max(1, 2**20 // X.shape[1])
    for start in range(0, len(first), step):
        piece = slice(start, start + step)
        u, v = (X[part[piece]] / found.lengths[part[piece], np.newaxis] for part in (first, second))
        same[piece] = np.einsum("ij,ij->i", u, v) > 0.0
        v = np.where(same[piece, np.newaxis], v, -v)
        parallel[piece] = np.abs(u - v).max(axis=1) <= _SAME * np.abs(u).max(axis=1)
    return first[parallel], second[parallel], same[parallel]


def _pairs_text(first: np.ndarray, second: np.ndarray, name: str) -> str:
    pairs = ", ".join(f"{i} and {j}" for i, j in zip(first[:_SHOWN], second[:_SHOWN], strict=True))
    more = f" (and {len(first) - _SHOWN} more pairs)" if len(first) > _SHOWN else ""
    return f"rows {pairs}{more} of {name}"
