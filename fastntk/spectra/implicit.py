"""Eigenpairs of symmetric linear operators, which are known by their products with vectors only."""

from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from fastntk.spectra.eigenvalue import allowance

_RTOL = 1e-9  # residual asked for, relative to the largest absolute eigenvalue
_KRYLOV = 64  # vectors kept at least: they cost n numbers each, a product may cost n^2 d operations
_RESTARTS = 300


def is_operator(value: Any) -> bool:
    """Whether `value` is known by its products only (`scipy.sparse.linalg.LinearOperator` or alike)."""
    return isinstance(value, LinearOperator) or (hasattr(value, "matmat") and not hasattr(value, "__array__"))


def symmetric_operator(value: Any, name: str) -> Any:
    """`value` once its shape is square and two random vectors see no asymmetry beyond rounding."""
    if len(value.shape) != 2 or value.shape[0] != value.shape[1]:
        raise ValueError(f"{name} must be a square operator, got shape {value.shape}")
    known = getattr(value, "symmetric", None)
    if known is None:
        probes = np.random.default_rng(0).standard_normal((value.shape[0], 2))
        images = finite_product(value, probes, name)
        difference = abs(float(probes[:, 0] @ images[:, 1] - probes[:, 1] @ images[:, 0]))
        sizes = np.linalg.norm(probes, axis=0) * np.linalg.norm(images, axis=0)[::-1]
        known = difference <= 1e-8 * float(sizes.max())
    if not known:
        raise ValueError(
            f"{name} must be symmetric, but its products with two random vectors say that it is not"
        )
    return value


def finite_product(operator: Any, block: np.ndarray, name: str) -> np.ndarray:
    """``operator @ block`` for a block of vectors; NaN or infinity is an error."""
    images = np.asarray(operator.matmat(block), dtype=np.float64)
    if not np.isfinite(images).all():
        raise ValueError(f"{name} must map vectors to finite numbers, got NaN or infinity")
    return images


def extreme_vectors(operator: Any, count: int, lowest: bool, shift: float = 0.0) -> np.ndarray:
    """Vectors (n, count) of the largest or, from ``shift I - operator``, of the smallest eigenvalues.

    The shift leaves the Krylov space as it is, but convergence is judged against the spread of the spectrum instead
    of against eigenvalues that may be zero.
    """
    n = operator.shape[0]

    def product(vector: np.ndarray) -> np.ndarray:
        vector = vector.reshape(-1, 1)
        image = finite_product(operator, vector, "H")
        return shift * vector - image if lowest else image

    start = np.random.default_rng(0).standard_normal(n)
    if not product(start).any():
        return np.eye(n, count)  # a multiple of the identity: ARPACK would find no direction to go
    try:
        vectors = eigsh(
            LinearOperator((n, n), matvec=product, dtype=np.float64),
            count,
            which="LA",
            v0=start,
            ncv=min(n, max(2 * count + _KRYLOV // 2, _KRYLOV)),
            maxiter=_RESTARTS,
            tol=_RTOL,
        )[1]
    except ArpackNoConvergence as error:
        raise RuntimeError(
            f"the Lanczos iteration found {len(error.eigenvalues)} of {count} eigenpairs of H in {_RESTARTS} restarts: "
            "ask for fewer, or form the matrix"
        ) from error
    return np.asarray(vectors)


def operator_allowance(n: int, norm: float) -> float:
    """Bound on the rounding of a product in float64, from the largest absolute eigenvalue instead of |H|_F."""
    return allowance(n, np.sqrt(n) * norm)
