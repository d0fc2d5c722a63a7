"""Gram matrices of the tangent kernel, their infinite-width limits and their extreme eigenvalues."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.reference.masks import activation_masks, strong_coactivation_counts
from fastntk.reference.network import check_layers, pre_activations

# Beyond this |cosine| arccos would magnify the rounding of its argument: take the angle from the points themselves.
_NEARLY_PARALLEL = 0.9


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


def limit_gram(X: NDArray[Any], Z: NDArray[Any] | None = None, layers: str = "first") -> NDArray[np.float64]:
    """Limit of the Gram matrix at infinite width, where ``w ~ N(0, I)`` and ``a_r = +-1``.

    With theta the angle between x and z, "first" is ``E[x.z 1{w.x >= 0, w.z >= 0}] = x.z (pi - theta) / (2 pi)``,
    "second" is ``E[relu(w.x) relu(w.z)] = |x| |z| (sin theta + (pi - theta) cos theta) / (2 pi)``, "both" their sum.

    Parameters
    ----------
    X : array, shape (n, d)
    Z : array, shape (k, d), optional
        Second set of points, X itself by default.
    layers : {"first", "second", "both"}

    Returns
    -------
    array of float64, shape (n, k)
        Without Z exactly symmetric, with the diagonal ``|x_i|^2 / 2`` of "first" and "second" exact. Zero where a
        point is zero.

    Raises
    ------
    ValueError
        For an unknown `layers`.

    Notes
    -----
    2 n k d flops and n k arccosines, and 4 d flops more for each pair closer than 26 degrees to parallel or
    antiparallel: those take ``pi - theta = 2 atan2(|u + v|, |u - v|)`` for unit vectors u and v, which loses nothing
    to cancellation. Assumption 3.1 of Du et al. for "first"; Cho and Saul (2009), eq. (6), for "second".

    Examples
    --------
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> limit_gram(X)
    array([[0.5, 0. ],
           [0. , 2. ]])
    >>> limit_gram(X, layers="second").round(6)
    array([[0.5    , 0.31831],
           [0.31831, 2.     ]])
    """
    check_layers(layers)
    X = X.astype(np.float64, copy=False)
    other = X if Z is None else Z.astype(np.float64, copy=False)
    gap = _angles_to_opposite(X, other)
    limit = np.zeros_like(gap)
    if layers != "second":
        limit += (X @ other.T) * gap / (2 * math.pi)
    if layers != "first":
        scale = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(other, axis=1))
        limit += scale * (np.sin(gap) - gap * np.cos(gap)) / (2 * math.pi)
    if Z is None:
        _make_symmetric(limit, X, layers)
    return limit


def strong_limit_gram(X: NDArray[Any]) -> NDArray[np.float64]:
    """``limit_gram(X)`` in the usual NumPy way: one BLAS product and an arccosine of the clipped cosine.

    Parameters
    ----------
    X : array, shape (n, d)
        Without zero rows.

    Returns
    -------
    array of float64, shape (n, n)

    Notes
    -----
    A baseline for speed. Angles below 1e-8 are lost in the rounding of the cosine; `limit_gram` keeps them.

    Examples
    --------
    >>> strong_limit_gram(np.array([[1.0, 0.0], [0.0, 2.0]]))
    array([[0.5, 0. ],
           [0. , 2. ]])
    """
    X = X.astype(np.float64, copy=False)
    dots = X @ X.T
    norms = np.sqrt(dots.diagonal())
    theta = np.arccos(np.clip(dots / np.outer(norms, norms), -1.0, 1.0))
    limit = dots * (math.pi - theta) / (2 * math.pi)
    _make_symmetric(limit, X, "first")
    return limit


def _unit_rows(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows divided by their length; a zero row stays zero."""
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(norms > 0, norms, 1.0)


def _angles_to_opposite(X: NDArray[np.float64], Z: NDArray[np.float64]) -> NDArray[np.float64]:
    """``pi - theta`` for all pairs of rows, to a few units in the last place of pi or of itself when it is small."""
    U, V = _unit_rows(X), _unit_rows(Z)
    cosines = U @ V.T
    near = np.abs(cosines) > _NEARLY_PARALLEL
    gap = np.arccos(-np.clip(cosines, -1.0, 1.0))
    for i in np.flatnonzero(near.any(axis=1)):
        j = np.flatnonzero(near[i])
        along = np.linalg.norm(U[i] + V[j], axis=1)
        across = np.linalg.norm(U[i] - V[j], axis=1)
        gap[i, j] = 2 * np.arctan2(along, across)
    return gap


def _make_symmetric(limit: NDArray[np.float64], X: NDArray[np.float64], layers: str) -> None:
    """Copy the upper triangle to the lower one and write the exact diagonal, in place."""
    lower = np.tril_indices_from(limit, -1)
    limit[lower] = limit.T[lower]
    squares = np.einsum("ij,ij->i", X, X)
    np.fill_diagonal(limit, squares if layers == "both" else squares / 2)


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
