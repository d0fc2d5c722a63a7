"""Kernel regression by conjugate gradients, on a matrix or on an operator that never stores it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.arrays import host_array
from fastntk.base.errors import ConvergenceWarning
from fastntk.compilation.threads import one_blas_thread
from fastntk.device.arrays import on_host
from fastntk.spectra.eigenvalue import is_moderate, symmetric
from fastntk.spectra.implicit import finite_product, is_operator, symmetric_operator
from fastntk.spectra.preconditioning import Product, nystrom


@dataclass(frozen=True)
class KernelRegression:
    """Coefficients of a kernel regression; see `kernel_regression`.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (n,) or (n, q)
        The function is ``f(z) = sum_i kernel(z, x_i) coefficients_i``.
    residual_norms : float or ndarray of shape (q,)
        ``|y - (H + ridge I) coefficients|_2``, computed from the coefficients themselves, not carried along by the
        recurrence; exact up to the rounding of that product.  The coefficients are within
        ``residual_norms / (lambda_min + ridge)`` of the exact ones, up to the same rounding.
    iterations : int
        Steps made, each one product with H.
    converged : bool
        Whether every residual is at most ``rtol |y|_2``.
    """

    coefficients: npt.NDArray[np.float64]
    residual_norms: float | npt.NDArray[np.float64]
    iterations: int
    converged: bool


def kernel_regression(
    H: Any,
    y: npt.ArrayLike,
    ridge: float = 0.0,
    *,
    rtol: float = 1e-6,
    maxiter: int = 1000,
    rank: int = 0,
) -> KernelRegression:
    """Solve ``(H + ridge I) c = y`` by preconditioned conjugate gradients.

    Parameters
    ----------
    H : array_like or scipy.sparse.linalg.LinearOperator, shape (n, n)
        Positive semi-definite: a Gram matrix, or an operator such as `gram_operator`.
    y : array_like, shape (n,) or (n, q)
        Labels; q sets of them are solved for side by side, sharing each product with H.
    ridge : float
        Added to the diagonal.
    rtol : float
        Residual asked for, relative to ``|y|``.
    maxiter : int
        Most steps.
    rank : int
        Size of the preconditioner.  0 scales by the diagonal of H (where H has one; for points of equal length that
        changes nothing).  A positive rank takes out the `rank` largest eigenvalues, approximately.

    Returns
    -------
    KernelRegression
        ``coefficients``, ``residual_norms``, ``iterations``, ``converged``.  Predictions are ``K @ coefficients``
        with K the kernel between new points and old, for instance ``gram_operator(Z, X)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not finite, of the wrong shape or out of range, or H has shown itself not to be positive
        semi-definite.

    Warns
    -----
    ConvergenceWarning
        If a residual is above ``rtol |y|`` when the steps are spent or rounding lets it fall no further.

    Notes
    -----
    About ``sqrt(condition number) / 2 * log(2 / rtol)`` steps, of one product with H and ``10 n q`` flops each.  With
    ``rank`` it is the condition number of what the preconditioner leaves; the ratio of the (rank + 1)-st eigenvalue
    plus ridge to the smallest plus ridge.  It costs one product with `rank` vectors, which for an operator is little
    more than one with a single vector, ``4 n rank^2`` flops, and two blocks of ``8 n rank`` bytes.

    Labels are solved for independently, so results for one of them do not depend on the others beyond rounding.  A
    stored matrix of moderate size is solved faster and directly by ``scipy.linalg.solve(..., assume_a="pos")``.

    Arrays on a GPU are copied to the host.

    Sources: Hestenes and Stiefel (1952); Frangella, Tropp and Udell (arXiv 2110.02820) for the preconditioner.

    Examples
    --------
    >>> import fastntk
    >>> H = fastntk.gram_operator([[1.0, 0.0], [0.0, 2.0]])
    >>> found = fastntk.kernel_regression(H, [1.0, 2.0], ridge=0.5)
    >>> found.coefficients.round(6), found.converged
    (array([1. , 0.8]), True)
    """
    ridge = checks.nonnegative(ridge, "ridge")
    multiply, n, diagonal, power = _products(H, ridge)
    labels = labels_for(on_host(y), n)
    single, labels = labels.ndim == 1, labels.reshape(n, -1)
    ridge = float(np.ldexp(ridge, -power))
    rtol = checks.positive(rtol, "rtol")
    most = checks.integer(maxiter, "maxiter", 1)
    if checks.integer(rank, "rank", 0) > n:
        raise ValueError(f"rank must be at most the number of rows of H ({n}), got {rank}")

    def product(block: np.ndarray) -> np.ndarray:
        return multiply(block) + ridge * block

    precondition = nystrom(multiply, n, rank, ridge) if rank else _by_diagonal(diagonal + ridge)
    exponents = np.frexp(np.abs(labels).max(axis=0))[1]  # squares must neither overflow nor underflow
    labels = np.ldexp(labels, -exponents)
    goals = rtol * np.linalg.norm(labels, axis=0)
    solution, residuals, steps = _solve(product, labels, goals, most, precondition)
    norms = np.linalg.norm(residuals, axis=0)
    converged = bool((norms <= goals).all())
    if not converged:
        worst = float((norms / np.where(goals > 0.0, goals, 1.0)).max()) * rtol
        warnings.warn(
            f"conjugate gradients stopped after {steps} steps at a relative residual of {worst:.1e} (rtol={rtol:g}): "
            "raise maxiter, rank or ridge, or ask for less",
            ConvergenceWarning,
            stacklevel=2,
        )
    with np.errstate(over="ignore", under="ignore"):
        solution, norms = np.ldexp(solution, exponents - power), np.ldexp(norms, exponents)
    if not checks.all_finite(solution):
        raise ValueError(
            "y and H must keep the coefficients within the range of float64, got an overflow: scale y down, or H up"
        )
    coefficients = solution[:, 0] if single else solution
    return KernelRegression(coefficients, float(norms[0]) if single else norms, steps, converged)


def labels_for(y: Any, n: int) -> np.ndarray:
    """Labels, or columns of them, for the `n` rows of a matrix."""
    found = host_array(y, "y", 1)
    labels = checks.array(found, "y", 2 if found.ndim == 2 else 1, np.float64)
    if len(labels) != n:
        raise ValueError(f"y must have one entry for each row of H ({n}), got {len(labels)}")
    return labels


def _products(H: Any, ridge: float) -> tuple[Product, int, np.ndarray, int]:
    """Products with ``2^-e H``, its size, its diagonal (ones where an operator does not tell), and e.

    That is 0 unless H, or a larger ridge, is so small or so large that products of its entries leave the range.
    """
    if is_operator(H):
        symmetric_operator(H, "H")
        n = H.shape[0]
        diagonal = np.asarray(H.diagonal() if hasattr(H, "diagonal") else np.ones(n), dtype=np.float64)
        power = power_of(diagonal, ridge)

        def multiply(block: np.ndarray) -> np.ndarray:
            images = finite_product(H, block, "H")
            return np.ldexp(images, -power) if power else images

        return multiply, n, np.ldexp(diagonal, -power), power
    matrix = symmetric(H, "H")
    power = power_of(matrix.diagonal(), ridge)
    matrix = np.ldexp(matrix, -power) if power else matrix
    return lambda block: matrix @ block, len(matrix), matrix.diagonal(), power


def power_of(diagonal: np.ndarray, ridge: float = 0.0) -> int:
    """An even e such that ``2^-e`` times this diagonal, or a larger ridge, is near 1; 0 if it is not extreme."""
    size = max(float(np.abs(diagonal).max()), ridge)
    if size == 0.0 or is_moderate(size):
        return 0
    power = int(np.frexp(size)[1])
    return power + power % 2


def _by_diagonal(diagonal: np.ndarray) -> Product:
    """Division by the diagonal; rows that are zero stay as they are."""
    if not (diagonal >= 0.0).all():
        raise ValueError(f"H must be positive semi-definite, but its diagonal reaches {diagonal.min():.6g}")
    inverse = 1.0 / np.where(diagonal > 0.0, diagonal, 1.0)
    return lambda residuals: inverse[:, None] * residuals


@one_blas_thread()
def _solve(
    product: Product, labels: np.ndarray, goals: np.ndarray, most: int, precondition: Product
) -> tuple[np.ndarray, np.ndarray, int]:
    """Conjugate gradients, begun again from the true residual until that has the size wanted or stops falling."""
    solution, residuals, steps = np.zeros_like(labels), labels.copy(), 0
    norms = np.linalg.norm(residuals, axis=0)
    while steps < most and (norms > goals).any():
        correction, used = _conjugate_gradients(product, residuals, goals, most - steps, precondition)
        corrected = solution + correction
        remaining = labels - product(corrected)
        steps += used
        sizes = np.linalg.norm(remaining, axis=0)
        better = sizes < norms
        solution[:, better], residuals[:, better] = corrected[:, better], remaining[:, better]
        stuck = not (sizes < 0.5 * norms)[norms > goals].any()
        norms = np.where(better, sizes, norms)
        if stuck:
            break
    return solution, residuals, steps


def _conjugate_gradients(
    product: Product, labels: np.ndarray, goals: np.ndarray, most: int, precondition: Product
) -> tuple[np.ndarray, int]:
    """From zero, for all columns at once, each with its own coefficients, until the updated residuals are small."""
    solution, residuals = np.zeros_like(labels), labels.copy()
    direction = np.zeros_like(labels)
    before = np.ones(labels.shape[1])
    active = np.linalg.norm(residuals, axis=0) > goals
    for step in range(most):
        if not active.any():
            return solution, step
        now = residuals[:, active]
        preconditioned = precondition(now)
        energy = np.einsum("ij,ij->j", now, preconditioned)
        direction[:, active] = preconditioned + direction[:, active] * (
            energy / before[active] if step else 0.0
        )
        images = product(direction[:, active])
        curvature = np.einsum("ij,ij->j", direction[:, active], images)
        if not (curvature > 0.0).all():
            raise ValueError(
                "H + ridge I must be positive definite on the labels, but a direction of curvature "
                f"{curvature.min():.3g} was met: raise ridge"
            )
        lengths = energy / curvature
        solution[:, active] += direction[:, active] * lengths
        residuals[:, active] = now - images * lengths
        before[active] = energy
        active = np.linalg.norm(residuals, axis=0) > goals
    return solution, most
