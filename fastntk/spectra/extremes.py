"""Extreme eigenvalues of symmetric matrices, each with a bound on its error."""

from typing import Any

import numpy as np

from fastntk.spectra.eigenvalue import Eigenvalue, frobenius, lower_bound, lowest_with_proof, symmetric
from fastntk.spectra.norm import SpectralNorm
from fastntk.spectra.tracking import DENSE, SmallestEigenvalue

__all__ = ["Eigenvalue", "SmallestEigenvalue", "SpectralNorm", "lambda_max", "lambda_min", "spectral_norm"]


def lambda_min(H: Any) -> Eigenvalue:
    """Smallest eigenvalue of a symmetric matrix, with a certificate.

    The result is a float with attributes: ``value``, the Rayleigh quotient of the unit vector ``vector``;
    ``residual_bound = |H v - value v|_2`` plus an allowance for rounding; ``outer_bound``, below which there is
    provably no eigenvalue.  The smallest eigenvalue lies in ``[outer_bound, value]`` up to the rounding allowance.

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

    Examples
    --------
    >>> import fastntk
    >>> least = fastntk.lambda_min([[2.0, 1.0], [1.0, 2.0]])
    >>> print(f"{least:.6f}", least.residual_bound < 1e-13)
    1.000000 True
    """
    H = symmetric(H, "H")
    if len(H) <= DENSE:
        return lowest_with_proof(H, frobenius(H, "H"))
    found = SmallestEigenvalue(rtol=1e-9).update(H)
    found.outer_bound = lower_bound(H, found.value, found.residual_bound)
    return found


def lambda_max(H: Any) -> Eigenvalue:
    """Largest eigenvalue of a symmetric matrix, with a certificate; see `lambda_min`.

    ``outer_bound`` is proven to lie above the whole spectrum.  Gradient descent on the squared loss with a constant
    Gram matrix H converges for step sizes below ``2 / lambda_max(H)``.

    Examples
    --------
    >>> from fastntk.spectra import lambda_max
    >>> print(f"{lambda_max([[2.0, 1.0], [1.0, 2.0]]):.6f}")
    3.000000
    """
    found = lambda_min(-symmetric(H, "H"))
    return Eigenvalue(-found.value, found.residual_bound, found.vector, -found.outer_bound)


def spectral_norm(A: Any, B: Any = None, rtol: float = 1e-6) -> Eigenvalue:
    """``|A - B|_2``, or ``|A|_2`` without B, of symmetric matrices.

    Parameters
    ----------
    A, B : array_like of shape (n, n), float32 or float64
        Symmetric up to rounding.  The difference is not formed.
    rtol : float
        Residual asked for, relative to the norm.

    Returns
    -------
    Eigenvalue
        ``value`` is a lower bound of the norm up to rounding; see `SpectralNorm` for what is certain.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a real, finite, square, symmetric matrix, or the shapes differ.

    Examples
    --------
    >>> from fastntk.spectra import spectral_norm
    >>> print(f"{spectral_norm([[0.0, 1.0], [1.0, 0.0]]):.6f}")
    1.000000
    """
    A = symmetric(A, "A")
    return SpectralNorm(rtol=rtol).update(A, np.zeros_like(A) if B is None else B)
