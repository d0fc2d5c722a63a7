"""The result type of the spectral functions, its error bounds, and the check of a symmetric matrix."""

from typing import Any

import numpy as np
import scipy.linalg

from fastntk.base import checks
from fastntk.base.arrays import host_array
from fastntk.base.notebook import table
from fastntk.compilation.threads import one_blas_thread
from fastntk.device.arrays import on_host
from fastntk.spectra.lapack import factorised

_EPS = float(np.finfo(np.float64).eps)


class Eigenvalue(float):
    """An eigenvalue, or a norm, between two proven bounds; otherwise an ordinary float.

    Attributes
    ----------
    value : float
        The Rayleigh quotient of `vector`.
    residual_bound : float
        ``|H v - value v|_2 / |v|_2`` and what rounding may have hidden of it: an eigenvalue of H, not always the one
        that was looked for, lies within this distance.
    vector : ndarray of shape (n,)
        v, of length 1 up to rounding.
    lower_bound, upper_bound : float
        Proven: the exact number lies between them.  For the smallest eigenvalue no eigenvalue lies below
        ``lower_bound``, for the largest none above ``upper_bound``; the other bound is the value and its rounding.
    """

    value: float
    residual_bound: float
    vector: np.ndarray
    lower_bound: float
    upper_bound: float

    def __new__(
        cls,
        value: float,
        residual_bound: float,
        vector: np.ndarray,
        lower_bound: float = -np.inf,
        upper_bound: float = np.inf,
    ) -> "Eigenvalue":
        """The float `value` with its attributes."""
        self = super().__new__(cls, value)
        self.value = float(value)
        self.residual_bound = float(residual_bound)
        self.vector = vector
        self.lower_bound = float(lower_bound)
        self.upper_bound = float(upper_bound)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.value, self.residual_bound, self.vector, self.lower_bound, self.upper_bound

    def __repr__(self) -> str:
        bounds = f"lower_bound={self.lower_bound!r}, upper_bound={self.upper_bound!r}"
        return f"Eigenvalue({self.value!r}, {bounds})"

    def _repr_html_(self) -> str:
        bounds = [["value", self.value], ["lower bound", self.lower_bound], ["upper bound", self.upper_bound]]
        return table(["eigenvalue", ""], [[name, repr(number)] for name, number in bounds])

    def scaled(self, exponent: int) -> "Eigenvalue":
        """That of ``2^exponent H``; bounds stay bounds where the product is not a normal number."""
        if exponent == 0:
            return self
        with np.errstate(over="ignore", under="ignore"):
            value, residual, lower, upper = np.ldexp(
                [self.value, self.residual_bound, self.lower_bound, self.upper_bound], exponent
            )
        if not np.isfinite(value):
            raise ValueError("the eigenvalue asked for is beyond the range of float64: scale the matrix down")
        residual, upper = np.nextafter([residual, upper], np.inf)
        return Eigenvalue(value, residual, self.vector, np.nextafter(lower, -np.inf), upper)


def square(value: Any, name: str) -> np.ndarray:
    """`value` as a square float64 matrix; symmetry is not looked at, and `moderate` is left to find NaN.

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
    return array if asymmetry == 0.0 else 0.5 * array + 0.5 * array.T


def is_moderate(*norms: float, reach: float = 1e100) -> bool:
    """Whether the largest of these norms is within that factor of 1, and none is nan."""
    return 1.0 / reach < max(norms) and all(norm < reach for norm in norms)


@one_blas_thread()
def moderate(reach: float = 1e100, **matrices: np.ndarray) -> tuple[list[np.ndarray], list[float], int]:
    """Matrices divided by 2^e, their Frobenius norms, and e, which is even, and 0 unless squares over- or underflow.

    The rounding allowances of this package count relative errors: below 1e-100 they would have to count absolute ones.
    Entries that the division makes subnormal change by 1e-323 at most, next to a norm above 1/4.
    """
    found = list(matrices.values())
    norms = [float(np.sqrt(np.vdot(matrix, matrix))) for matrix in found]
    if is_moderate(*norms, reach=reach):
        return found, norms, 0
    largest = 0.0
    for name, matrix in matrices.items():
        size = float(np.abs(matrix).max())
        if not np.isfinite(size):
            raise ValueError(f"{name} must be finite, got nan or inf")
        largest = max(largest, size)
    if largest == 0.0:
        return found, [0.0] * len(found), 0
    exponent = int(np.frexp(largest)[1])
    exponent += exponent % 2
    found = [np.ldexp(matrix, -exponent) for matrix in found]
    return found, [float(np.sqrt(np.vdot(matrix, matrix))) for matrix in found], exponent


def allowance(n: int, norm: Any) -> Any:
    """Bound on the rounding of a product: ``|fl(H v) - H v| <= n u |H|_F |v|``, u = eps / 2, in any order of sums."""
    return 0.5 * (n + 8) * _EPS * norm


def scalars(n: int, size: Any) -> Any:
    """Bound on the rounding of a Rayleigh quotient, or of the norm of its residual, once ``H v`` is known.

    With ``size = |H v| / |v|``: two inner products, or the residual and two norms, each of relative error
    ``(n + 2) u`` on numbers of that size.
    """
    return (n + 8) * _EPS * size


def rayleigh(image: np.ndarray, vector: np.ndarray, rounding: float) -> tuple[float, float, float]:
    """Rayleigh quotient of `vector` with ``image = H vector``, its residual bound, and its own rounding.

    `rounding` is that of the image, relative to the vector.
    """
    length = float(np.linalg.norm(vector))
    value = float(vector @ image) / length**2
    residual = float(np.linalg.norm(image - value * vector)) / length
    rounding += scalars(len(vector), float(np.linalg.norm(image)) / length)
    return value, residual + rounding, rounding


def factor_above(
    matrix: np.ndarray, shift: float, kind: type = np.float64
) -> tuple[np.ndarray, float] | None:
    """Cholesky factor of ``matrix - shift I``, in that precision, and a proven lower bound of the spectrum.

    The factor is an upper triangle; None if it breaks down.  Cost n^3 / 3 and one copy of the matrix.
    """
    n = len(matrix)
    with np.errstate(over="ignore"):
        factor: np.ndarray = matrix.astype(kind, order="C")
    diagonal = matrix.diagonal().astype(np.float64) - shift
    factor.reshape(-1)[:: n + 1] = diagonal
    if not factorised(factor):
        return None
    return factor, proven_below(shift, n, float(diagonal.sum()), kind)


def proven_below(shift: float, n: int, trace: float, kind: type = np.float64) -> float:
    """The lower bound of a spectrum that follows if ``matrix - shift I``, of that trace, could be factored.

    With u the unit roundoff, the computed factor is that of a matrix which differs by at most
    ``g / (1 - 2 g) trace``, ``g = (n + 3) u``, in the spectral norm, whatever the order of the sums, and also if pivots
    are divided by through their reciprocals (Rump, "Verification of positive definiteness", BIT 46, 2006).  Rounding
    the matrix to the precision, the subtraction of the shift, and the trace itself add less than ``4 u trace``.
    """
    precision = np.finfo(kind)
    g = 0.5 * (n + 10) * float(precision.eps)
    if not g < 0.25:
        return -np.inf
    return shift - 1.0001 * g / (1.0 - 2.0 * g) * trace - n * float(precision.tiny) - _EPS * abs(shift)


@one_blas_thread()
def lower_bound(H: np.ndarray, value: float, margin: float, norm: float) -> float:
    """A proven lower bound of the spectrum of H, as close below `value` as a Cholesky factorisation confirms.

    At worst ``-norm``, for a bound of ``|H|_F``.
    """
    margin = max(margin, np.finfo(np.float64).tiny)
    for _ in range(8):
        factored = factor_above(H, value - margin)
        if factored is not None:
            return max(factored[1], -1.001 * norm)
        margin *= 8.0
    return -1.001 * norm


def least_shift(n: int, trace: float) -> float:
    """A shift whose proof of `factor_above` leaves at least three quarters of it as the bound."""
    return 4.0 * (n + 10) * _EPS * trace


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


def part_of_spectrum(matrix: np.ndarray, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues at these positions of the ascending order and, in columns, vectors.  Cost about 4 n^3 / 3.

    LAPACK's routine for a part finds fewer than asked for, or none, where many eigenvalues coincide: then take all.
    """
    n, count = len(matrix), part.stop - part.start
    if count < n:
        try:
            values, vectors = scipy.linalg.eigh(
                matrix, subset_by_index=[part.start, part.stop - 1], check_finite=False
            )
        except scipy.linalg.LinAlgError:
            vectors = np.empty((n, 0))
        if vectors.shape[1] == count:
            return values, vectors
    values, vectors = scipy.linalg.eigh(matrix, driver="evd", check_finite=False)
    return values[part], vectors[:, part]


def lowest_dense(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` smallest eigenvalues and, as rows, their vectors."""
    values, vectors = part_of_spectrum(matrix, slice(0, count))
    return values, np.ascontiguousarray(vectors.T)


@one_blas_thread()
def lowest_with_proof(matrix: np.ndarray, norm: float) -> Eigenvalue:
    """The smallest eigenvalue by LAPACK, and a proven lower bound; `norm` is the Frobenius norm."""
    vector = lowest_dense(matrix, 1)[1][0]
    value, residual, rounding = rayleigh(matrix @ vector, vector, allowance(len(matrix), norm))
    return Eigenvalue(value, residual, vector, lower_bound(matrix, value, residual, norm), value + rounding)
