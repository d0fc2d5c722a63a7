"""The linear systems of kernel ridge regression, with weights of the samples and an intercept that costs nothing."""

import warnings

import numpy as np
from scipy import linalg

_ROWS = 256  # of the kernel that are changed at once


def weighted_ridge(
    K: np.ndarray, Y: np.ndarray, alphas: np.ndarray, weights: np.ndarray | None, intercept: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A, one column a target, and b that minimise ``sum_i s_i (K A + b - Y)_i^2 + alpha A^T K A``; K is overwritten.

    With roots r of the weights, ``B = A / r`` solves ``(r K r + alpha I) B + r b = r Y``; a free intercept makes B
    orthogonal to r, so all of it happens in the complement of r.
    """
    n = len(K)
    roots = np.ones(n) if weights is None else np.sqrt(weights)
    if weights is not None:
        K *= roots[:, np.newaxis]
        K *= roots
        Y = Y * roots[:, np.newaxis]
    if not intercept:
        return roots[:, np.newaxis] * _solutions(K, Y, alphas), np.zeros(Y.shape[1])
    length = np.linalg.norm(roots)
    unit = roots / length
    image, means = K @ unit, unit @ Y
    _project(K, unit, image)
    B = _solutions(K, Y - np.outer(unit, means), alphas)
    return roots[:, np.newaxis] * B, (means - image @ B) / length


def _project(K: np.ndarray, unit: np.ndarray, image: np.ndarray) -> None:
    """Make K ``Q K Q``, Q the projection to the complement of `unit`, where it gets an eigenvalue of K's mean size."""
    corner = unit @ image + (np.trace(K) / len(K) or 1.0)
    for first in range(0, len(K), _ROWS):
        rows = slice(first, first + _ROWS)
        K[rows] += np.outer(corner * unit[rows] - image[rows], unit) - np.outer(unit[rows], image)


def _solutions(K: np.ndarray, Y: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Solve the system of each target; equal ridges share a factorisation."""
    distinct = np.unique(alphas)
    if len(distinct) == 1:
        return dual_coefficients(K, Y, float(distinct[0]))
    found = np.empty(Y.shape)
    for alpha in distinct:
        chosen = alphas == alpha
        found[:, chosen] = dual_coefficients(K.copy(), Y[:, chosen], float(alpha))
    return found


def dual_coefficients(K: np.ndarray, Y: np.ndarray, alpha: float) -> np.ndarray:
    """Solution A of ``(K + alpha I) A = Y`` by Cholesky; K is overwritten.

    A system that is singular to working precision gets the least-squares solution of least norm, with a warning.
    """
    np.einsum("ii->i", K)[...] += alpha
    diagonal = K.diagonal().copy()
    columns = K.T  # the same matrix in the order that LAPACK reads without a copy
    norm = linalg.norm(columns, 1, check_finite=False)
    factor, failed = linalg.lapack.dpotrf(columns, lower=1, clean=0, overwrite_a=1)
    rcond = 0.0 if failed else float(linalg.lapack.dpocon(factor, norm, uplo="L")[0])
    if rcond > np.finfo(np.float64).eps:
        return linalg.cho_solve((factor, True), Y, check_finite=False)
    warnings.warn(
        f"the kernel matrix plus alpha = {alpha:g} on the diagonal is singular to working precision (reciprocal "
        f"condition number {rcond:.1e}), as it is for repeated rows: coefficients are those of least norm among the "
        "least-squares solutions, a larger alpha gives unique ones",
        linalg.LinAlgWarning,
        stacklevel=6,
    )
    np.einsum("ii->i", columns)[...] = diagonal  # the factor took the lower triangle, the upper one is intact
    values, vectors = linalg.eigh(columns, lower=False, overwrite_a=True, check_finite=False)
    kept = values > len(K) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return vectors[:, kept] @ ((vectors[:, kept].T @ Y) / values[kept, np.newaxis])
