"""The result type of the spectral functions, its error bounds, and the check of a symmetric matrix."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from fastntk.base import checks
from fastntk.base.arrays import host_array
from fastntk.device.arrays import on_host

_EPS = float(np.finfo(np.float64).eps)


class Eigenvalue(float):
    """An eigenvalue that knows how wrong it may be; otherwise an ordinary float.

    Attributes
    ----------
    value : float
        The Rayleigh quotient of `vector`.  For the smallest eigenvalue it errs upwards only (up to rounding).
    residual_bound : float
        ``|H v - value v|_2`` plus an allowance for its rounding: some eigenvalue lies within this distance.
    vector : ndarray of shape (n,)
        The unit vector v.
    outer_bound : float
        For the smallest eigenvalue: a number proven to lie below the whole spectrum; for the largest, above it.
        Infinite when nothing was proven in this call.
    """

    value: float
    residual_bound: float
    vector: np.ndarray
    outer_bound: float

    def __new__(
        cls, value: float, residual_bound: float, vector: np.ndarray, outer_bound: float = -np.inf
    ) -> "Eigenvalue":
        """The float `value` with its attributes."""
        self = super().__new__(cls, value)
        self.value = float(value)
        self.residual_bound = float(residual_bound)
        self.vector = vector
        self.outer_bound = float(outer_bound)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.value, self.residual_bound, self.vector, self.outer_bound

    def __repr__(self) -> str:
        return f"Eigenvalue({self.value!r}, residual_bound={self.residual_bound:.1e})"


def square(value: Any, name: str) -> np.ndarray:
    """`value` as a square float64 matrix; symmetry is not looked at, and `frobenius` is left to find NaN.

    A matrix on a GPU is copied to the host, where all of this package works.
    """
    value = on_host(value)
    array = host_array(value, name, 2)
    ready = array.dtype == np.float64 and array.ndim == 2 and array.size and array.flags.c_contiguous
    if not ready:
        array = checks.matrix(value, name, dtype=np.float64)
    if array.shape[0] != array.shape[1]:
        raise ValueError(f"{name} must be a square matrix, got shape {array.shape}")
    return array


def asymmetry_allowed(single: bool) -> float:
    """How far from symmetric a matrix of float32 or float64 may be, relative to its largest entry."""
    return 1e-4 if single else 1e-8


def symmetric(value: Any, name: str) -> np.ndarray:
    """`value` as a finite, exactly symmetric float64 matrix; asymmetry beyond rounding is an error."""
    value = on_host(value)
    single = getattr(value, "dtype", None) == np.float32
    array = square(checks.matrix(value, name, dtype=np.float64), name)
    asymmetry, largest = 0.0, 0.0
    for first in range(0, len(array), 256):  # row blocks: no n x n temporary
        rows = slice(first, first + 256)
        asymmetry = max(asymmetry, float(np.abs(array[rows] - array[:, rows].T).max()))
        largest = max(largest, float(np.abs(array[rows]).max()))
    if asymmetry > asymmetry_allowed(single) * largest:
        raise ValueError(f"{name} must be symmetric, but {name} and its transpose differ by {asymmetry:.3g}")
    return array if asymmetry == 0.0 else (array + array.T) / 2


def frobenius(matrix: np.ndarray, name: str) -> float:
    """Frobenius norm without a temporary; NaN or infinity anywhere is an error."""
    return require_finite_norm(float(np.sqrt(np.vdot(matrix, matrix))), name)


def require_finite_norm(norm: float, name: str) -> float:
    """The Frobenius norm of a matrix of that name, if it is finite."""
    if not np.isfinite(norm):
        raise ValueError(f"{name} must hold finite numbers of moderate size, its Frobenius norm is {norm}")
    return norm


def allowance(n: int, norm: Any) -> Any:
    """Bound on the rounding error of a computed residual: |fl(Hv) - Hv| <= n u | |H| |v| | <= n u |H|_F."""
    return (n + 8) * _EPS * norm


def rayleigh(image: np.ndarray, vector: np.ndarray, rounding: float) -> tuple[float, float]:
    """Rayleigh quotient of `vector` with ``image = H vector``, and its residual bound."""
    value = float(vector @ image) / float(vector @ vector)
    residual = float(np.linalg.norm(image - value * vector)) / float(np.linalg.norm(vector))
    return value, residual + rounding


def factor_above(matrix: np.ndarray, shift: float) -> tuple[np.ndarray, float] | None:
    """Cholesky factor of ``matrix - shift I`` and a proven lower bound of the spectrum; None if it breaks down.

    Success proves that no eigenvalue is below ``shift - (n + 2) eps trace(matrix - shift I)`` (Rump, BIT 46, 2006).
    Cost n^3 / 3 and one copy of the matrix.
    """
    n = len(matrix)
    shifted = matrix.copy()
    shifted.reshape(-1)[:: n + 1] -= shift
    trace = float(np.trace(shifted))
    factor, info = scipy.linalg.lapack.dpotrf(shifted.T, lower=1, clean=0, overwrite_a=1)
    if info != 0:
        return None
    return factor, proven_below(shift, n, trace)


def proven_below(shift: float, n: int, trace: float) -> float:
    """The lower bound of a spectrum that follows if ``matrix - shift I``, of that trace, could be factored."""
    return shift - (n + 2) * _EPS * trace


def lower_bound(
    H: Any,
    value: float,
    margin: float,
    factor: Callable[[Any, float], tuple[Any, float] | None] = factor_above,
) -> float:
    """A proven lower bound of the spectrum of H, as close below `value` as a Cholesky factorisation confirms."""
    margin = max(margin, np.finfo(np.float64).tiny)
    for _ in range(8):
        factored = factor(H, value - margin)
        if factored is not None:
            return factored[1]
        margin *= 8.0
    return -np.inf


def least_shift(n: int, trace: float) -> float:
    """A shift whose proof of `factor_above` leaves at least three quarters of it as the bound."""
    return 4.0 * (n + 2) * _EPS * trace


def singular(shift: float, least: float) -> ValueError:
    """The error for a matrix that is not positive definite beyond that shift."""
    return ValueError(
        f"H must be positive definite beyond rounding ({max(shift, 0.0):.1e}), but lambda_min(H) is {least:.3g}"
    )


def changed_shape(name: str, expected: tuple[int, ...], got: tuple[int, ...]) -> ValueError:
    """The error for a matrix of another shape than those before."""
    return ValueError(f"{name} must keep its shape from call to call: expected {expected}, got {got}")


def require_shape(matrix: np.ndarray, shape: tuple[int, ...] | None, name: str) -> None:
    """ValueError unless a matrix has the shape of the call before, if there was one."""
    if shape is not None and matrix.shape != shape:
        raise changed_shape(name, shape, matrix.shape)


def inverse_from(factor: np.ndarray) -> np.ndarray:
    """The full symmetric inverse from a lower Cholesky factor, which it overwrites.  Cost 2 n^3 / 3."""
    inverse = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)[0].T
    for first in range(0, len(inverse), 128):  # the upper triangle of rows is set; mirror it by blocks
        last = first + 128
        corner = inverse[first:last, first:last]
        corner[...] = np.triu(corner) + np.triu(corner, 1).T
        inverse[last:, first:last] = inverse[first:last, last:].T
    return inverse


def lowest_dense(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` smallest eigenvalues and, as rows, their vectors, by LAPACK.  Cost about 4 n^3 / 3."""
    values, vectors = scipy.linalg.eigh(matrix, subset_by_index=[0, count - 1], check_finite=False)
    return values, np.ascontiguousarray(vectors.T)


def lowest_with_proof(matrix: np.ndarray, norm: float) -> Eigenvalue:
    """The smallest eigenvalue by LAPACK, and a proven lower bound; `norm` is the Frobenius norm."""
    vector = lowest_dense(matrix, 1)[1][0]
    value, residual = rayleigh(matrix @ vector, vector, allowance(len(matrix), norm))
    return Eigenvalue(value, residual, vector, lower_bound(matrix, value, residual))
