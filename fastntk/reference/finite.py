"""Gram matrices at finite width between two sets of points."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.reference.network import check_layers, pre_activations


def cross_gram(
    X: NDArray[Any],
    Z: NDArray[Any],
    W: NDArray[Any],
    a: NDArray[Any] | None = None,
    layers: str = "first",
) -> NDArray[np.float64]:
    """Gram matrix of the points X against the points Z, ``(1/m) sum_r`` of what the trained layers contribute.

    "first" sums ``x.z a_r^2 1{w_r.x >= 0, w_r.z >= 0}``, "second" ``relu(w_r.x) relu(w_r.z)``, "both" the two.

    Parameters
    ----------
    X : array, shape (n, d)
    Z : array, shape (k, d)
    W : array, shape (m, d)
    a : array, shape (m,), optional
        Second-layer weights; without them every neuron has weight one.
    layers : {"first", "second", "both"}

    Returns
    -------
    array of float64, shape (n, k)

    Raises
    ------
    ValueError
        For an unknown `layers`.

    Notes
    -----
    2 (n + k) m d flops for the pre-activations and 2 n k m for each layer, in float64.

    Examples
    --------
    >>> X, Z, W = np.array([[1.0], [2.0]]), np.array([[3.0]]), np.array([[1.0], [-1.0]])
    >>> cross_gram(X, Z, W)
    array([[1.5],
           [3. ]])
    >>> cross_gram(X, Z, W, layers="both")
    array([[3.],
           [6.]])
    """
    check_layers(layers)
    m = W.shape[0]
    left, right = pre_activations(X, W), pre_activations(Z, W)
    H = np.zeros((X.shape[0], Z.shape[0]))
    if layers != "second":
        squares = np.ones(m) if a is None else np.square(a, dtype=np.float64)
        inner = X.astype(np.float64, copy=False) @ Z.astype(np.float64, copy=False).T
        H += inner * ((left >= 0) * squares @ (right >= 0).T) / m
    if layers != "first":
        active = (np.maximum(part, 0).astype(np.float64, copy=False) for part in (left, right))
        H += next(active) @ next(active).T / m
    return H
