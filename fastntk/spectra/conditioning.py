"""The condition number of a Gram matrix, between proven bounds."""

from typing import Any

import numpy as np

from fastntk.spectra.enclosed import Enclosed
from fastntk.spectra.extremes import lambda_max, lambda_min
from fastntk.spectra.implicit import is_operator
from fastntk.spectra.pairs import spectrum


def condition_number(H: Any) -> Enclosed:
    """``lambda_max(H) / lambda_min(H)`` of a positive semi-definite matrix, with bounds.

    Parameters
    ----------
    H : array_like or scipy.sparse.linalg.LinearOperator, shape (n, n)
        As in `spectrum`.

    Returns
    -------
    Enclosed
        A float with attributes ``lower`` and ``upper``; inf where H is singular within rounding, which ``lower`` says
        more about.

    Raises
    ------
    TypeError, ValueError
        If H is not a real, finite, square, symmetric matrix, or has an eigenvalue below zero beyond rounding.

    Notes
    -----
    Of a matrix both bounds are proven: quotients of the bounds of `lambda_min` and `lambda_max` (two decompositions,
    about 3 n^3 multiply-adds).  Of an operator, see `spectrum` for the cost and for what is supposed of its products;
    ``lower`` follows from Rayleigh quotients, ``upper`` is inf beyond 256 rows, because nothing is proven about what
    the iteration may have missed.

    Examples
    --------
    >>> import fastntk
    >>> found = fastntk.condition_number([[2.0, 1.0], [1.0, 2.0]])
    >>> print(f"{found:.6f}", found.upper - found.lower < 1e-13)
    3.000000 True
    """
    if is_operator(H):
        ends = spectrum(H, 1, "both")
        (least, most), (least_bound, most_bound) = ends.values[[0, -1]], ends.residual_bounds[[0, -1]]
        smallest = least - ends.order_bound, least + least_bound
        largest = most - most_bound, most + ends.order_bound
        regular = least > least_bound
    else:
        low, high = lambda_min(H), lambda_max(H)
        least, most = low.value, high.value
        smallest, largest = (low.lower_bound, low.upper_bound), (high.lower_bound, high.upper_bound)
        regular = low.lower_bound > 0.0
    if smallest[1] < 0.0:
        raise ValueError(f"H must be positive semi-definite, but its smallest eigenvalue is {least:.6g}")
    with np.errstate(over="ignore"):
        lower = np.nextafter(largest[0] / smallest[1], 0.0) if largest[0] > 0.0 else 1.0
        upper = np.nextafter(largest[1] / smallest[0], np.inf) if smallest[0] > 0.0 else np.inf
        return Enclosed(most / least if regular else np.inf, max(1.0, lower), upper)
