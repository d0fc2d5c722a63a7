"""Norms of two matrices and of their difference, by a pass over them, which may write that difference."""

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.kernels.cpu.differences import square_sums

_EPS = float(np.finfo(np.float64).eps)


def single_matrix(n: int) -> np.ndarray:
    """An (n, n) matrix of zeros in single precision, in rows of whole vectors: more zeros follow each."""
    return aligned_zeros((n, columns_of(n)), np.float32)


def columns_of(n: int) -> int:
    """Length of such a row."""
    return -(-n // 16) * 16


def difference(H: np.ndarray, A: np.ndarray, out: np.ndarray | None = None) -> tuple[float, float, float]:
    """``|H|_F`` and ``|A|_F``, as computed, and a number not below ``|H - A|_F``, rounding included.

    ``H - A`` is written to `out`, a `single_matrix`, if given.
    """
    sums = np.empty((len(H), 3))
    square_sums(H, A, np.empty((0, 0), np.float32) if out is None else out, sums)
    apart, first, second = (float(found) for found in np.sqrt(sums.sum(axis=0)))
    # relative rounding of sums of n^2 squares and of the differences; of squares below 1e-308 nothing may be left
    return first, second, apart * (1.0 + (H.size + 8) * _EPS) + len(H) * 1e-150
