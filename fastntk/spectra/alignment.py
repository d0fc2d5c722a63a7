"""How labels lie in the eigenbasis of a Gram matrix, and what that says about learning them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from fastntk.base import checks
from fastntk.device.arrays import on_host
from fastntk.spectra import Enclosed, Spectrum, lambda_min, spectrum
from fastntk.spectra.eigenvalue import (
    allowance,
    factor_above,
    frobenius,
    least_shift,
    singular,
    symmetric,
)
from fastntk.spectra.implicit import is_operator
from fastntk.spectra.regression import kernel_regression, labels_for

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, repr=False)
class LabelProjections(Spectrum):
    """Eigenpairs and the components of labels along them; see `label_projections`.

    Attributes
    ----------
    projections : ndarray of float64, shape (k,) or (k, q)
        ``vectors.T @ y``.
    """

    projections: np.ndarray


def label_projections(H: Any, y: npt.ArrayLike, k: int | None = None) -> LabelProjections:
    """Eigenvalues ``lambda_i`` of a Gram matrix and the components ``v_i^T y`` of the labels.

    Under gradient descent with step size lr on a network whose Gram matrix stays H, the component i of the residual
    ``u - y`` shrinks by ``1 - lr lambda_i`` in each step.

    Parameters
    ----------
    H : array_like or scipy.sparse.linalg.LinearOperator, shape (n, n)
        As in `spectrum`.
    y : array_like, shape (n,) or (n, q)
        Labels.
    k : int, optional
        Take the k largest eigenvalues; all by default (of a matrix).

    Returns
    -------
    LabelProjections
        ``projections`` (k,) or (k, q) and all that `spectrum` gives: ``values`` ascending, ``vectors``, bounds.

    Raises
    ------
    TypeError, ValueError
        As `spectrum`; if y is not finite or has not one entry for each row of H.

    Notes
    -----
    Cost: that of `spectrum` and ``2 n k q`` flops.  With all eigenvectors the squares of the projections add up to
    ``|y|^2``.  Where eigenvalues coincide only the sum of squares over them is determined by H and y.

    Source: Arora, Du, Hu, Li and Wang (arXiv 1901.08584), Theorem 4.1.

    Examples
    --------
    >>> import fastntk
    >>> found = fastntk.label_projections([[2.0, 1.0], [1.0, 2.0]], [3.0, 1.0])
    >>> found.values.round(6), abs(found.projections).round(6)
    (array([1., 3.]), array([1.414214, 2.828427]))
    """
    H = on_host(H)
    labels = labels_for(on_host(y), _rows(H))
    pairs = spectrum(H, k, "largest")
    return LabelProjections(
        pairs.values, pairs.vectors, pairs.residual_bounds, pairs.order_bound, pairs.vectors.T @ labels
    )


def generalization_complexity(H: Any, y: npt.ArrayLike) -> Enclosed:
    """``sqrt(2 y^T H^{-1} y / n)``, the complexity that bounds the test loss of a wide network.

    For H the limit `limit_gram` of unit vectors (first layer), labels ``|y_i| <= 1`` and a 1-Lipschitz loss with
    values in [0, 1], the expected loss of a sufficiently wide network that starts small and is trained to convergence
    is at most this number plus ``O(sqrt(log(n / (lambda_0 delta)) / n))``, with probability ``1 - delta``.

    Parameters
    ----------
    H : array_like or scipy.sparse.linalg.LinearOperator, shape (n, n)
        Positive definite.
    y : array_like, shape (n,)
        Labels.

    Returns
    -------
    Enclosed
        A float with attributes ``lower`` and ``upper``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not finite or of the wrong shape; if H is not positive definite beyond rounding.

    Warns
    -----
    ConvergenceWarning
        For an operator, if conjugate gradients do not reach a relative residual of 1e-8.

    Notes
    -----
    With ``H x`` close to y and ``r = y - H x`` the form is ``y^T x + r^T x + r^T H^{-1} r``, so that
    ``y^T x + r^T x`` errs downwards only, and by at most ``|r|^2 / lambda_min``.  Of a matrix x comes from a Cholesky
    factorisation with one step of refinement and lambda_min is bounded from below by a second one (Rump, BIT 46,
    2006): ``2 n^3 / 3`` multiply-adds, both bounds proven.  For an operator x comes from `kernel_regression`;
    ``lower`` is proven, ``upper`` is inf.

    Source: Arora, Du, Hu, Li and Wang (arXiv 1901.08584), Theorem 5.1.

    Examples
    --------
    >>> import fastntk
    >>> H = fastntk.limit_gram([[1.0, 0.0], [0.0, 1.0]])
    >>> round(fastntk.generalization_complexity(H, [1.0, -1.0]), 6)
    2.0
    """
    n, form, slack, surplus = _inverse_form(H, y)
    low, high = max(form - slack, 0.0), form + slack + surplus
    return Enclosed(*(float(np.sqrt(2.0 * value / n)) for value in (max(form, 0.0), low, high)))


def _rows(H: Any) -> int:
    """Rows of a matrix or an operator, before any check of it."""
    return int((np.shape(H) or (0,))[0])


def _inverse_form(H: Any, labels: Any) -> tuple[int, float, float, float]:
    """The number of labels, a number below ``y^T H^{-1} y``, its rounding, and how far above it the form may be."""
    H = on_host(H)
    y = checks.vector(on_host(labels), "y", _rows(H), "H", np.float64)
    least, x, image, rounding = _solution(H, y)
    residual = y - image
    length, size = float(np.linalg.norm(x)), float(np.linalg.norm(residual))
    slack = rounding * length**2 + (len(y) + 8) * _EPS * length * (float(np.linalg.norm(y)) + size)
    surplus = (size + rounding * length) ** 2 / least if least > 0.0 else np.inf
    return len(y), float(y @ x + residual @ x), slack, surplus


def _solution(H: Any, y: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
    """A lower bound of the spectrum, ``x`` close to ``H^{-1} y``, ``H x`` and its rounding."""
    if is_operator(H):
        x = kernel_regression(H, y, rtol=1e-8).coefficients
        return 0.0, x, H.matvec(x), 0.0
    matrix = symmetric(H, "H")
    least, x = _proven_solution(matrix, y)
    return least, x, matrix @ x, allowance(len(y), frobenius(matrix, "H"))


def _proven_solution(matrix: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """A proven positive lower bound of the spectrum, and ``H^{-1} y``."""
    shift = least_shift(len(matrix), float(np.trace(matrix)))
    shifted = factor_above(matrix, shift) if shift > 0.0 else None
    if shifted is None:
        raise singular(shift, float(lambda_min(matrix)))
    factor = scipy.linalg.cho_factor(matrix, lower=True, check_finite=False)
    x = scipy.linalg.cho_solve(factor, y, check_finite=False)
    x += scipy.linalg.cho_solve(factor, y - matrix @ x, check_finite=False)
    return shifted[1], x
