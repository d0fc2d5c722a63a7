"""Losses of the outputs and their derivatives by them, each written as its definition."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.reference.network import loss, residual

LOSSES = ("squared", "logistic", "huber")


def loss_and_derivative(
    u: NDArray[Any], y: NDArray[Any], name: str = "squared", delta: float = 1.0
) -> tuple[float, NDArray[Any]]:
    """``L = sum_i l(u_i, y_i)`` and ``e_i = dl/du_i``.

    Parameters
    ----------
    u, y : array, shape (n,)
        Outputs and labels; the labels of "logistic" are -1 and +1.
    name : {"squared", "logistic", "huber"}
        ``r^2 / 2`` with ``r = u - y``; ``log(1 + exp(-y u))``; ``r^2 / 2`` up to ``|r| = delta``, then its tangent.
    delta : float
        Of "huber" only.

    Returns
    -------
    float, array of shape (n,)
        The sum in float64; the derivatives in the dtype of `u`.

    Raises
    ------
    ValueError
        For an unknown name, or when the shapes differ.

    Examples
    --------
    >>> loss_and_derivative(np.array([2.0, 5.0]), np.array([1.0, 1.0]), "huber")
    (4.0, array([1., 1.]))
    """
    r = residual(u, y)
    if name not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {name!r}")
    if name == "logistic":
        margin = y * u
        return float(np.logaddexp(0.0, -margin.astype(np.float64)).sum()), -y * np.exp(
            -np.logaddexp(0.0, margin)
        )
    if name == "squared":
        return loss(u, y), r
    wide = r.astype(np.float64)
    far = np.abs(r) > delta
    values = np.where(far, delta * (np.abs(wide) - 0.5 * delta), 0.5 * wide**2)
    return float(values.sum()), np.where(far, delta * np.sign(r), r)
