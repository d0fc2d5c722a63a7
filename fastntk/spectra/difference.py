"""One pass over two matrices: the norm of their difference, and how far it can lower an eigenvalue."""

from dataclasses import dataclass

import numpy as np

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Difference:
    """What one pass tells of ``H - A``; see `difference`."""

    norms: tuple[float, float]
    """``|H|_F`` and ``|A|_F``, computed."""
    frobenius: float
    """Not below ``|H - A|_F``, rounding included."""
    lowest: float
    """Not above ``lambda_min(H - A)``: with D the diagonal and O the rest, ``min D - |O|_F``, rounding included."""


def difference(H: np.ndarray, A: np.ndarray, out: np.ndarray | None = None) -> Difference:
    """Norms of two matrices and bounds of the spectrum of ``H - A``, which is also written to `out`, if given."""
    n = len(H)
    total, first, second, size = 0.0, 0.0, 0.0, max(1, 2**14 // n)  # blocks of 128 KB stay in cache
    for start in range(0, n, size):
        rows = slice(start, start + size)
        block = H[rows] - A[rows]
        total += float(np.vdot(block, block))
        first += float(np.vdot(H[rows], H[rows]))
        second += float(np.vdot(A[rows], A[rows]))
        if out is not None:
            out[rows] = block
    diagonal = H.diagonal() - A.diagonal()
    # relative rounding of sums of n^2 squares and of the differences; of squares below 1e-308 nothing may be left
    slack, lost = (n * n + 8) * _EPS, n * 1e-150
    rest = max(total * (1.0 + slack) - float(diagonal @ diagonal) * (1.0 - slack), 0.0)
    least = float(diagonal.min())
    return Difference(
        (float(np.sqrt(first)), float(np.sqrt(second))),
        float(np.sqrt(total)) * (1.0 + slack) + lost,
        least - 4.0 * _EPS * abs(least) - float(np.sqrt(rest)) * (1.0 + slack) - lost,
    )
