"""Extreme eigenvalues of symmetric matrices, each with a bound on its error."""

from typing import Any

import numpy as np

from fastntk.compilation.threads import one_blas_thread
from fastntk.spectra.eigenvalue import (
    Eigenvalue,
    allowance,
    lower_bound,
    lowest_with_proof,
    moderate,
    symmetric,
)
from fastntk.spectra.norm import SpectralNorm
from fastntk.spectra.tracking import DENSE, SmallestEigenvalue

__all__ = ["Eigenvalue", "SmallestEigenvalue", "SpectralNorm", "lambda_max", "lambda_min", "spectral_norm"]


def lambda_min(H: Any) -> Eigenvalue:
    """Smallest eigenvalue of a symmetric matrix, with a certificate.

    The result is a float with attributes: ``value``, the Rayleigh quotient of the unit vector ``vector``;
    ``lower_bound`` and ``upper_bound``, between which the smallest eigenvalue lies, proven: no eigenvalue is below
    ``lower_bound``; ``residual_bound``, a bound of ``|H v - value v|_2``, within which of the value there is some
    eigenvalue.

    Parameters
    ----------
    H : array_like of shape (n, n), float32 or float64
        Symmetric up to rounding (1e-8, for float32 1e-4, of its largest entry); computed with in float64.

    Returns
    -------
    Eigenvalue

    Raises
    ------
    TypeError, ValueError
        If H is not a real, finite, square, symmetric matrix.

    Notes
    -----
    LAPACK up to n = 2500, above that shifted inverse iteration in a subspace (`SmallestEigenvalue`).  The proof is
    a Cholesky factorisation of ``H - s I`` with s as close below the value as rounding allows (Rump, "Verification
    of positive definiteness", BIT 46, 2006).  Cost O(n^3): 4/3 n^3 + 1/3 n^3 multiply-adds; memory one copy of H.

    A matrix on a GPU is copied to the host.

    An eigenvalue that is zero in exact arithmetic comes out as a number of either sign within ``residual_bound``.
    The bounds are those of ``(H + H^T) / 2``, rounded to float64.

    Examples
    --------
    >>> import fastntk
    >>> least = fastntk.lambda_min([[2.0, 1.0], [1.0, 2.0]])
    >>> print(f"{least:.6f}", least.residual_bound < 1e-13)
    1.000000 True
    """
    (H,), (norm,), exponent = moderate(H=symmetric(H, "H"))
    if len(H) <= DENSE:
        return lowest_with_proof(H, norm).scaled(exponent)
    return SmallestEigenvalue(rtol=1e-9, slack=1e-8).update(H).scaled(exponent)


def lambda_max(H: Any) -> Eigenvalue:
    """Largest eigenvalue of a symmetric matrix, with a certificate; see `lambda_min`.

    No eigenvalue lies above ``upper_bound``, proven.  Gradient descent on the squared loss with a constant
    Gram matrix H converges for step sizes below ``2 / lambda_max(H)``.

    Examples
    --------
    >>> from fastntk.spectra import lambda_max
    >>> print(f"{lambda_max([[2.0, 1.0], [1.0, 2.0]]):.6f}")
    3.000000
    """
    found = lambda_min(-symmetric(H, "H"))
    return Eigenvalue(
        -found.value, found.residual_bound, found.vector, -found.upper_bound, -found.lower_bound
    )


@one_blas_thread()
def both_ends(H: Any) -> tuple[float, float]:
    """The smallest and the largest eigenvalue of a finite symmetric matrix, where proofs are not asked for."""
    if len(H) > DENSE:
        return float(lambda_min(H)), float(lambda_max(H))
    values = np.linalg.eigvalsh(H)
    return float(values[0]), float(values[-1])


def spectral_norm(A: Any, B: Any = None, rtol: float = 1e-6) -> Eigenvalue:
    """``|A - B|_2``, or ``|A|_2`` without B, of symmetric matrices.

    Parameters
    ----------
    A, B : array_like of shape (n, n), float32 or float64
        Symmetric up to rounding.
    rtol : float
        Residual asked for, relative to the norm.

    Returns
    -------
    Eigenvalue
        The norm lies between ``lower_bound`` and ``upper_bound``, proven.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a real, finite, square, symmetric matrix, or the shapes differ.

    Notes
    -----
    The value is found by iteration, as in `SpectralNorm`; Cholesky factorisations of ``s I - (A - B)`` and
    ``s I + (A - B)``, s just above it, prove the upper bound (``2 n^3 / 3`` multiply-adds, two n x n matrices).

    Examples
    --------
    >>> from fastntk.spectra import spectral_norm
    >>> print(f"{spectral_norm([[0.0, 1.0], [1.0, 0.0]]):.6f}")
    1.000000
    """
    A = symmetric(A, "A")
    B = np.zeros_like(A) if B is None else symmetric(B, "B")
    found = SpectralNorm(rtol=rtol).update(A, B)
    (A, B), norms, exponent = moderate(A=A, B=B)
    change, size = A - B, sum(norms)
    value, rounding = float(np.ldexp(found.value, -exponent)), allowance(len(A), size)
    lowest = min(lower_bound(sign * change, -value, rounding, size) for sign in (1.0, -1.0))
    proven = Eigenvalue(value, 0.0, found.vector, upper_bound=rounding - lowest).scaled(exponent)
    found.upper_bound = min(found.upper_bound, proven.upper_bound)
    return found
