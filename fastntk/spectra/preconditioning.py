"""A preconditioner for conjugate gradients from the largest eigenvalues of a matrix."""

from collections.abc import Callable

import numpy as np
import scipy.linalg

from fastntk.compilation.threads import one_blas_thread

Product = Callable[[np.ndarray], np.ndarray]


@one_blas_thread()
def nystrom(product: Product, n: int, rank: int, ridge: float) -> Product:
    """An approximate inverse of ``H + ridge I`` for a positive semi-definite H (n, n), given by products.

    The images of `rank` random vectors give ``U diag(l) U^T``, close to the part of H with its largest eigenvalues
    (randomised Nystrom approximation).  On the range of U the inverse is taken from there; on the rest H counts as
    the smallest l.

    Source: Frangella, Tropp and Udell, "Randomized Nystrom preconditioning" (arXiv 2110.02820), Section 2; here
    directions that H maps to rounding are left out, where theirs shifts H by as much.
    """
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((n, rank)))[0]
    images = product(directions)
    core, rotation = scipy.linalg.eigh(directions.T @ images, check_finite=False)
    kept = core > n * np.finfo(np.float64).eps * core[-1]
    if not kept.any():
        return lambda residuals: residuals
    half = images @ (rotation[:, kept] / np.sqrt(core[kept]))
    basis, sizes, _ = np.linalg.svd(half, full_matrices=False)
    values = sizes**2 + ridge
    gains = values[-1] / values - 1.0

    def apply(residuals: np.ndarray) -> np.ndarray:
        with one_blas_thread():  # BLAS workers would still spin when the kernels of the next product run
            return residuals + basis @ (gains[:, None] * (basis.T @ residuals))

    return apply
