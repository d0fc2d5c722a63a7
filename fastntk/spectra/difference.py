"""Bounds of the spectrum of the difference of two matrices, by a pass or two over them."""

from dataclasses import dataclass

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.kernels.cpu.block_norms import ROWS, block_norms
from fastntk.kernels.cpu.differences import RANGE, square_sums
from fastntk.kernels.scratch import thread_slots

_EPS = float(np.finfo(np.float64).eps)
_SINGLE = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Difference:
    """What one pass tells of ``H - A``; see `difference`."""

    norms: tuple[float, float]
    """``|H|_F`` and ``|A|_F``, computed."""
    frobenius: float
    """Not below ``|H - A|_F``, rounding included."""
    least: float
    """Not above the least entry of the diagonal of ``H - A``."""
    rest: float
    """Not below ``|O|_F``, O being what is off the diagonal."""


def difference(H: np.ndarray, A: np.ndarray, out: np.ndarray | None = None) -> Difference:
    """Norms of two matrices and bounds of the spectrum of ``H - A``, written to `out`, float32, if given."""
    n = len(H)
    flat, none = H.reshape(-1), np.empty(0, np.float32)
    sums = np.empty((-(-flat.size // RANGE), 3))
    square_sums(flat, A.reshape(-1), none if out is None else out.reshape(-1), sums)
    total, first, second = (float(found) for found in sums.sum(axis=0))
    diagonal = H.diagonal() - A.diagonal()
    # relative rounding of sums of n^2 squares and of the differences; of squares below 1e-308 nothing may be left
    slack, lost = (n * n + 8) * _EPS, n * 1e-150
    rest = max(total * (1.0 + slack) - float(diagonal @ diagonal) * (1.0 - slack), 0.0)
    least = float(diagonal.min())
    return Difference(
        (float(np.sqrt(first)), float(np.sqrt(second))),
        float(np.sqrt(total)) * (1.0 + slack) + lost,
        least - 4.0 * _EPS * abs(least),
        float(np.sqrt(rest)) * (1.0 + slack) + lost,
    )


def off_diagonal(H: np.ndarray, A: np.ndarray, rest: float) -> float:
    """Not below ``|O|_2``, which is at most `rest` > 0, O being what is off the diagonal of ``H - A``.

    With O_J blocks of rows of O, ``|O|_2^2 <= sum_J |O_J|_2^2``, and a block's is a bound of the spectrum of
    ``O_J O_J^T``.  Where O is of many small independent entries that is about a fifth of ``|O|_F``, at n = 1000.
    """
    n = len(H)
    columns = -(-n // 16) * 16
    blocks, G = (aligned_zeros((thread_slots(), ROWS, width), np.float32) for width in (columns, ROWS))
    bounds = np.empty(-(-n // ROWS))
    block_norms(H, A, 1.0 / rest, blocks, G, bounds)
    # In units of `rest` the rows have squares that sum to 1.  The inner products are off by n / 2 eps of them in all;
    # the same again is for the sums of bounds.  The entries themselves are off by eps / 2.
    return rest * (float(np.sqrt(bounds.sum() + n * _SINGLE)) + 2.0 * _SINGLE)
