"""The linear system of kernel ridge regression."""

import warnings

import numpy as np
from scipy import linalg


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
        stacklevel=4,
    )
    np.einsum("ii->i", columns)[...] = diagonal  # the factor took the lower triangle, the upper one is intact
    values, vectors = linalg.eigh(columns, lower=False, overwrite_a=True, check_finite=False)
    kept = values > len(K) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return vectors[:, kept] @ ((vectors[:, kept].T @ Y) / values[kept, np.newaxis])
