"""One pass over two matrices: the norm of their difference, and how far it can lower an eigenvalue."""

from dataclasses import dataclass

import numpy as np

from fastntk.kernels.cpu.differences import RANGE, square_sums

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
    """Norms of two matrices and bounds of the spectrum of ``H - A``, which is also written to `out`, float32, if given."""
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
        least - 4.0 * _EPS * abs(least) - float(np.sqrt(rest)) * (1.0 + slack) - lost,
    )
