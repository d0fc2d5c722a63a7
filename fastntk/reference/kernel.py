"""Gram matrices of the tangent kernel and their extreme eigenvalues."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.reference.masks import activation_masks, strong_coactivation_counts
from fastntk.reference.network import check_layers, pre_activations


def gram(X: NDArray[Any], masks: NDArray[np.bool_], a: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """First-layer Gram matrix: ``H_ij = (1/m) x_i . x_j sum_r a_r^2 M_ir M_jr``.

    Parameters
    ----------
    X : array, shape (n, d)
    masks : array of bool, shape (n, m)
    a : array, shape (m,), optional
        Second-layer weights. Without them, or when they are all +1 or -1, every neuron has weight one.

    Returns
    -------
    array of float64, shape (n, n)
        Exactly symmetric.

    Notes
    -----
    n^2 (d + m) flops, computed in float64 from exact counts. H(t) of Du et al., eq. (6).

    Examples
    --------
    >>> X = np.array([[1.0, 0.0], [0.6, 0.8]])
    >>> masks = np.array([[True, True, False, True], [True, False, False, True]])
    >>> gram(X, masks)
    array([[0.75, 0.3 ],
           [0.3 , 0.5 ]])
    >>> gram(X, masks, a=np.array([2.0, 0.0, 0.0, 0.0]))
    array([[1. , 0.6],
           [0.6, 1. ]])
    """
    X = X.astype(np.float64, copy=False)
    if a is None:
        return (X @ X.T) * strong_coactivation_counts(masks) / masks.shape[1]
    weighted = np.abs(a.astype(np.float64)) * masks
    return (X @ X.T) * (weighted @ weighted.T) / masks.shape[1]


def second_gram(X: NDArray[Any], W: NDArray[Any]) -> NDArray[np.float64]:
    """Second-layer Gram matrix: ``(1/m) sum_r relu(w_r . x_i) relu(w_r . x_j)``.

    Parameters
    ----------
    X : array, shape (n, d)
    W : array, shape (m, d)

    Returns
    -------
    array of float64, shape (n, n)
        Exactly symmetric.

    Notes
    -----
    2 n m d + n^2 m flops.

    Examples
    --------
    >>> second_gram(np.array([[1.0], [2.0], [-1.0]]), np.array([[1.0], [3.0]]))
    array([[ 5., 10.,  0.],
           [10., 20.,  0.],
           [ 0.,  0.,  0.]])
    """
    active = np.maximum(pre_activations(X, W), 0).astype(np.float64, copy=False)
    return active @ active.T / W.shape[0]


def tangent_gram(
    X: NDArray[Any], W: NDArray[Any], a: NDArray[Any], layers: str = "first"
) -> NDArray[np.float64]:
    """Gram matrix of the tangent kernel of the layers that are trained.

    Parameters
    ----------
    X : array, shape (n, d)
    W : array, shape (m, d)
    a : array, shape (m,)
    layers : {"first", "second", "both"}
        `gram` with weights `a`, `second_gram`, or their sum.

    Returns
    -------
    array of float64, shape (n, n)
        The matrix H of ``du/dt = -H (u - y)`` under gradient flow.

    Raises
    ------
    ValueError
        For an unknown `layers`.

    Examples
    --------
    >>> tangent_gram(np.array([[1.0], [2.0]]), np.array([[1.0], [-3.0]]), np.array([1.0, -1.0]), layers="both")
    array([[1., 2.],
           [2., 4.]])
    """
    check_layers(layers)
    H = np.zeros((X.shape[0], X.shape[0]))
    if layers != "second":
        H += gram(X, activation_masks(X, W), a)
    if layers != "first":
        H += second_gram(X, W)
    return H


def lambda_min(H: NDArray[Any]) -> float:
    """Smallest eigenvalue of a symmetric matrix.

    Parameters
    ----------
    H : array, shape (n, n)
        Only its lower triangle is read.

    Returns
    -------
    float

    Notes
    -----
    All eigenvalues by LAPACK, about 4/3 n^3 flops; absolute error near ``n eps |H|_2``.

    Examples
    --------
    >>> round(lambda_min(np.array([[2.0, 1.0], [1.0, 2.0]])), 12)
    1.0
    """
    return float(np.linalg.eigvalsh(H)[0])


def spectral_norm(H: NDArray[Any]) -> float:
    """Largest absolute eigenvalue of a symmetric matrix, its operator norm.

    Parameters
    ----------
    H : array, shape (n, n)
        Only its lower triangle is read.

    Returns
    -------
    float

    Notes
    -----
    About 4/3 n^3 flops.

    Examples
    --------
    >>> spectral_norm(np.array([[1.0, 0.0], [0.0, -3.0]]))
    3.0
    """
    return float(np.abs(np.linalg.eigvalsh(H)).max())
