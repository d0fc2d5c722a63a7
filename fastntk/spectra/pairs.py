"""Several eigenpairs of a symmetric matrix or operator, each with a bound on its error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastntk.base import checks
from fastntk.base.notebook import curves, table
from fastntk.compilation.threads import one_blas_thread
from fastntk.spectra.eigenvalue import (
    allowance,
    lower_bound,
    moderate,
    part_of_spectrum,
    scalars,
    symmetric,
)
from fastntk.spectra.implicit import extreme_vectors, is_operator, operator_allowance, symmetric_operator

_EPS = float(np.finfo(np.float64).eps)
_SMALL = 256  # an operator of this size is cheaper as a matrix
_FEW = 6  # pairs by default
_ENDS = ("smallest", "largest", "both")


@dataclass(frozen=True, repr=False)
class Spectrum:
    """Eigenvalues with their vectors and error bounds; see `spectrum`.

    Attributes
    ----------
    values : ndarray of float64, shape (k,)
        Rayleigh quotients of the vectors, ascending.
    vectors : ndarray of float64, shape (n, k)
        Orthonormal up to rounding, one column for each value.  The entry largest in size is positive.  An array on
        the GPU if H is one, of the same library.
    residual_bounds : ndarray of float64, shape (k,)
        ``|H v - value v|_2`` plus an allowance for its rounding: some eigenvalue lies within this distance.
    order_bound : float
        Proven: each value is within this distance of the eigenvalue of the same position (the j-th smallest of the
        matrix for the j-th of the smallest, and so on), so that none has been left out.  inf if not proven.
    """

    values: np.ndarray
    vectors: np.ndarray
    residual_bounds: np.ndarray
    order_bound: float

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        shown = np.array2string(self.values, precision=6, threshold=8, edgeitems=3)
        bounds = f"residual_bounds<={self.residual_bounds.max():.1e}, order_bound={self.order_bound:.1e}"
        return f"{type(self).__name__}(values={shown}, {bounds})"

    def _repr_html_(self) -> str:
        rows = [
            ["smallest", float(self.values[0])],
            ["largest", float(self.values[-1])],
            ["residual bounds at most", float(self.residual_bounds.max())],
            ["order bound", float(self.order_bound)],
        ]
        picture = curves("eigenvalues", [("", np.arange(len(self)), self.values)], log=True)
        return table([f"{len(self)} eigenvalues", ""], rows) + picture


def spectrum(H: Any, k: int | None = _FEW, which: str = "smallest") -> Spectrum:
    """Eigenvalues and eigenvectors of a symmetric matrix or operator, with certificates.

    Parameters
    ----------
    H : array_like or scipy.sparse.linalg.LinearOperator, shape (n, n)
        A matrix, symmetric up to rounding (1e-8, for float32 1e-4, of its largest entry), or an operator such as
        `gram_operator`.  Computed with in float64.
    k : int or None
        How many; None takes all (of a matrix), and so does the default of 6 where there are fewer.
    which : {"smallest", "largest", "both"}
        The end of the spectrum; "both" takes k from each end (all n if 2 k >= n).

    Returns
    -------
    Spectrum
        ``values`` ascending, ``vectors`` in columns, ``residual_bounds``, ``order_bound``.

    Raises
    ------
    TypeError, ValueError
        If H is not a real, finite, square, symmetric matrix, k is below 1 or above n (for an operator with more than
        256 rows: not below n), or `which` is unknown.
    RuntimeError
        If the iteration for an operator does not converge.

    Notes
    -----
    What is certain.  For each pair, some eigenvalue of H lies within its residual bound.  For a matrix also which one:
    with V the k vectors and R their residuals, a Cholesky factorisation proves that H with V raised to the last of
    the k values has no eigenvalue below a number s next to that value.  H differs from a matrix with the eigenvalues
    found and others above s by at most ``2 |R|``, so by Weyl's inequality the j-th value is within
    ``order_bound = 2 |R| + (value_k - s)`` of the j-th eigenvalue.  For an operator ``order_bound`` is inf: an
    eigenvector orthogonal to the start of the iteration could be missed, as could copies of a multiple eigenvalue;
    and the residual bounds suppose products as accurate as those of a stored matrix in float64.

    Cost of a matrix: LAPACK, 4/3 n^3 multiply-adds and more for many vectors, and n^3 / 3 for the proof at each end;
    memory three copies.  Of an operator: Lanczos (ARPACK through SciPy) from a fixed random start, no inversion.  The
    largest eigenvalues take some tens of products; the smallest are crowded together, and take about
    ``sqrt(lambda_max / gap)`` times ten of them, hundreds or thousands where lambda_min is far below lambda_max.
    Residuals are then about 1e-9 lambda_max at most.

    Sources: Kahan, "Inclusion theorems for clusters of eigenvalues of Hermitian matrices" (1967); Rump,
    "Verification of positive definiteness", BIT 46 (2006).

    Examples
    --------
    >>> import fastntk
    >>> found = fastntk.spectrum([[2.0, 1.0], [1.0, 2.0]], k=1, which="largest")
    >>> found.values.round(6), found.vectors[:, 0].round(6)
    (array([3.]), array([0.707107, 0.707107]))
    >>> bool(found.residual_bounds[0] < 1e-13 and found.order_bound < 1e-13)
    True
    """
    checks.choice(which, "which", _ENDS)
    implicit = is_operator(H)
    matrix: Any = symmetric_operator(H, "H") if implicit else symmetric(H, "H")
    n = matrix.shape[0]
    count = count_of(k, n)
    if implicit and n > _SMALL:
        if count >= n:
            raise ValueError(
                f"k must be below the number of rows ({n}) of an operator, got {k}: form the matrix for all"
            )
        return _of_operator(matrix, count, which)
    if implicit:
        matrix = symmetric(matrix.matmat(np.eye(n)), "H")
    return _of_matrix(matrix, count, which)


def count_of(k: int | None, n: int) -> int:
    """How many pairs of n rows, None for all."""
    count = n if k is None else min(n, _FEW) if k == _FEW else checks.integer(k, "k", 1)
    if count > n:
        raise ValueError(f"k must be at most the number of rows of H ({n}), got {count}")
    return count


@one_blas_thread()
def _of_operator(operator: Any, count: int, which: str) -> Spectrum:
    """Lanczos at the ends asked for; the largest eigenvalue is found in any case, for the scale."""
    ends = [extreme_vectors(operator, 1 if which == "smallest" else count, lowest=False)]
    if which != "largest":
        top = float(np.abs(_quotients(ends[0], operator.matmat(ends[0]))[0]).max())
        lowest = extreme_vectors(operator, count, lowest=True, shift=top)
        ends = [lowest] if which == "smallest" else [lowest, *ends]
    vectors = np.linalg.qr(np.concatenate(ends, axis=1))[0]
    values, residuals = _quotients(vectors, operator.matmat(vectors))
    norm = max(float(np.abs(values).max()), 0.0 if which == "largest" else top)
    return _arranged(values, vectors, residuals + operator_allowance(len(vectors), norm), np.inf)


@one_blas_thread()
def _of_matrix(matrix: np.ndarray, count: int, which: str) -> Spectrum:
    """LAPACK and, at each end asked for, the proof that nothing lies beyond."""
    (matrix,), (norm,), exponent = moderate(H=matrix)
    n = len(matrix)
    parts = positions(n, count, which)
    pairs = [_checked_pairs(matrix, vectors, allowance(n, norm)) for vectors in _lapack(matrix, parts)]
    bounds = [
        _order_bound(matrix, norm, *found, lowest=part.start == 0)
        for part, found in zip(parts, pairs, strict=True)
    ]
    values, residuals = (np.concatenate([found[item] for found in pairs]) for item in (0, 2))
    vectors = np.concatenate([found[1] for found in pairs], axis=1)
    return _scaled(_arranged(values, vectors, residuals, max(bounds)), exponent)


def _scaled(found: Spectrum, exponent: int) -> Spectrum:
    """That of ``2^exponent H``; bounds stay bounds where the product is not a normal number."""
    if exponent == 0:
        return found
    with np.errstate(over="ignore", under="ignore"):
        values = np.ldexp(found.values, exponent)
        bounds = np.nextafter(np.ldexp(np.r_[found.residual_bounds, found.order_bound], exponent), np.inf)
    if not np.isfinite(values).all():
        raise ValueError("eigenvalues of H are beyond the range of float64: scale H down")
    # half a unit of the last place of a subnormal value
    bounds += np.finfo(np.float64).smallest_subnormal
    return Spectrum(values, found.vectors, bounds[:-1], float(bounds[-1]))


def positions(n: int, count: int, which: str) -> list[slice]:
    """Ranges of positions in the ascending order, one for each end asked for."""
    low, high = slice(0, count), slice(n - count, n)
    if which == "both":
        return [low, high] if 2 * count < n else [slice(0, n)]
    return [low] if which == "smallest" else [high]


def _lapack(matrix: np.ndarray, parts: list[slice]) -> list[np.ndarray]:
    """Eigenvectors, in columns, of each range of positions; orthogonal across ranges too."""
    n = len(matrix)
    if sum(part.stop - part.start for part in parts) < n:
        found = [part_of_spectrum(matrix, part)[1] for part in parts]
        # two runs of LAPACK know nothing of each other: if both ends belong to one cluster their vectors may overlap
        if len(found) == 1 or np.abs(found[0].T @ found[1]).max() < 1e-10:
            return found
    vectors = part_of_spectrum(matrix, slice(0, n))[1]
    return [vectors[:, part] for part in parts]


def _checked_pairs(
    matrix: np.ndarray, vectors: np.ndarray, rounding: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values in ascending order with their vectors and residual bounds."""
    values, residuals = _quotients(vectors, matrix @ vectors)
    order = np.argsort(values, kind="stable")
    return values[order], vectors[:, order], residuals[order] + rounding


def _quotients(vectors: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rayleigh quotients of the columns, given their images, and their residuals with the rounding of norms."""
    lengths = np.einsum("ij,ij->j", vectors, vectors)
    values = np.einsum("ij,ij->j", vectors, images) / lengths
    residuals = np.linalg.norm(images - vectors * values, axis=0)
    residuals += scalars(len(vectors), np.linalg.norm(images, axis=0))
    return values, residuals / np.sqrt(lengths)


def _arranged(values: np.ndarray, vectors: np.ndarray, bounds: np.ndarray, order_bound: float) -> Spectrum:
    """The pairs in ascending order, each vector with the sign that makes its largest entry positive."""
    order = np.argsort(values, kind="stable")
    vectors = np.ascontiguousarray(vectors[:, order])
    peaks = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    vectors *= np.where(peaks < 0.0, -1.0, 1.0)
    return Spectrum(values[order], vectors, bounds[order], order_bound)


def _order_bound(
    matrix: np.ndarray, norm: float, values: np.ndarray, vectors: np.ndarray, bounds: np.ndarray, lowest: bool
) -> float:
    """How far a value may be from the eigenvalue of the same position; see the notes of `spectrum`."""

    def below(sign: float, lifts: np.ndarray, last: float, margin: float) -> float:
        raised = sign * matrix
        if len(lifts) > 1:
            raised += (vectors * lifts) @ vectors.T
        return lower_bound(raised, last, margin, norm + float(lifts.sum()))

    n, count = vectors.shape
    skew = float(np.linalg.norm(vectors.T @ vectors - np.eye(count)))
    return order_bound(n, norm, values, bounds, skew, lowest, below)


def order_bound(
    n: int,
    norm: float,
    values: np.ndarray,
    bounds: np.ndarray,
    skew: float,
    lowest: bool,
    below: Callable[[float, np.ndarray, float, float], float],
) -> float:
    """How far a value may be from the eigenvalue of the same position, for vectors with |V^T V - I|_F = `skew`.

    ``below(sign, lifts, last, margin)`` proves a lower bound of ``sign H + V diag(lifts) V^T``, at best last - margin.
    """
    count = len(values)
    # How far the columns are from orthonormal, rounding included: exactly orthonormal ones lie within that distance,
    # and taking them instead moves residuals by the second term at most.
    skew += (n + 2) * count * _EPS
    if not skew < 0.5:
        return np.inf
    residual = (float(np.linalg.norm(bounds)) + 2.0 * skew * norm) / (1.0 - skew)
    if count == n:
        return 2.0 * residual
    sign, last = (1.0, float(values[-1])) if lowest else (-1.0, -float(values[0]))
    lifts = last - sign * values  # what raises each of them to the last
    blur = skew * skew * float(lifts.max())
    if count > 1:
        blur += (count + 4) * _EPS * (norm + 2.0 * float(lifts.sum()))
    bound = below(sign, lifts, last, residual + blur) - blur
    return 2.0 * residual + max(0.0, last - bound)
