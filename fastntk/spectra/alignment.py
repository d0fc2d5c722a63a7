"""How labels lie in the eigenbasis of a Gram matrix, and what that says about learning them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from fastntk.base import checks
from fastntk.base.arrays import host_array
from fastntk.compilation.threads import one_blas_thread
from fastntk.device.arrays import on_host
from fastntk.spectra import Enclosed, Spectrum, lambda_min, spectrum
from fastntk.spectra.eigenvalue import (
    allowance,
    factor_above,
    least_shift,
    moderate,
    singular,
    square,
    symmetric,
)
from fastntk.spectra.implicit import is_operator
from fastntk.spectra.regression import kernel_regression, labels_for, power_of

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
    with one_blas_thread():
        projections = pairs.vectors.T @ labels
    return LabelProjections(
        pairs.values, pairs.vectors, pairs.residual_bounds, pairs.order_bound, projections
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
    ``upper`` is inf, and ``lower`` supposes products as accurate as those of a stored matrix of the operator's
    diagonal (0 where the operator has none).

    Source: Arora, Du, Hu, Li and Wang (arXiv 1901.08584), Theorem 5.1.

    Examples
    --------
    >>> import fastntk
    >>> H = fastntk.limit_gram([[1.0, 0.0], [0.0, 1.0]])
    >>> round(fastntk.generalization_complexity(H, [1.0, -1.0]), 6)
    2.0
    """
    n, form, slack, surplus, exponent = _inverse_form(H, y)
    low, high = max(form - slack, 0.0), form + slack + surplus
    found = [
        np.sqrt(2.0 * value / n)
        for value in (max(form, 0.0), low * (1.0 - 8.0 * _EPS), high * (1.0 + 8.0 * _EPS))
    ]
    with np.errstate(over="ignore", under="ignore"):
        value, low, high = np.ldexp(found, exponent)
    if not np.isfinite(value):
        power = np.log10(found[0]) + exponent * np.log10(2.0)
        raise ValueError(
            "y and H must keep the complexity within the range of float64, "
            f"got about 10^{power:.0f}: scale y down or H up"
        )
    return Enclosed(value, low and np.nextafter(low, 0.0), high and np.nextafter(high, np.inf))


def _rows(H: Any) -> int:
    """Rows of a matrix or an operator, before any check of it."""
    if is_operator(H):
        return int(H.shape[0])
    found = host_array(H, "H", 2)
    return len(
        found if found.ndim == 2 and found.size else square(found, "H")
    )  # which says what is wrong with H


@one_blas_thread()
def _inverse_form(H: Any, labels: Any) -> tuple[int, float, float, float, int]:
    """The number of labels, a number below ``y^T H^{-1} y``, its rounding, how far above it the form may be, and e.

    H and y are divided by powers of two where they are extreme: the root of the form is 2^e times that of theirs.
    """
    H = on_host(H)
    y = checks.vector(on_host(labels), "y", _rows(H), "H", np.float64)
    exponent = int(np.frexp(np.abs(y).max())[1])
    y = np.ldexp(y, -exponent)
    if is_operator(H):
        power, x, image, rounding = _solution_of_operator(H, y)
        least = 0.0
    else:
        (matrix,), (norm,), power = moderate(H=symmetric(H, "H"))
        least, x = _proven_solution(matrix, y)
        image, rounding = matrix @ x, allowance(len(y), norm)
    exponent -= power // 2
    residual = y - image
    length, size = float(np.linalg.norm(x)), float(np.linalg.norm(residual))
    slack = rounding * length**2 + (len(y) + 8) * _EPS * length * (float(np.linalg.norm(y)) + size)
    above = size * (1.0 + (len(y) + 8) * _EPS) + rounding * length
    surplus = above**2 / least * (1.0 + 8.0 * _EPS) if least > 0.0 else np.inf
    return len(y), float(y @ x + residual @ x), slack, surplus, exponent


def _solution_of_operator(H: Any, y: np.ndarray) -> tuple[int, np.ndarray, np.ndarray, float]:
    """For ``2^-e H``: e, x close to its inverse times y, its product with x, and the rounding of that."""
    x = kernel_regression(H, y, rtol=1e-8).coefficients
    power, norm = 0, np.inf
    # the trace of a positive definite matrix is above its Frobenius norm; without it nothing is known of rounding
    if hasattr(H, "diagonal"):
        diagonal = np.asarray(H.diagonal(), dtype=np.float64)
        power = power_of(diagonal)
        norm = float(np.ldexp(diagonal, -power).sum())
    return power, np.ldexp(x, power), H.matvec(x), allowance(len(y), norm)


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
