"""Gram matrices at infinite width, through any number of layers."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.reference.network import check_layers

# Beyond this |cosine| arccos would magnify the rounding of its argument: take the angle from the points themselves.
_NEARLY_PARALLEL = 0.9
_BLOCK = 2**16  # entries of a block of rows that stays in cache


def limit_gram(
    X: NDArray[Any],
    Z: NDArray[Any] | None = None,
    layers: str = "first",
    depth: int = 1,
    scale: float = 1.0,
) -> NDArray[np.float64]:
    """Limit of the Gram matrix at infinite width, where ``w ~ N(0, I)`` and ``a_r = +-1``.

    With theta the angle between x and z, "first" is ``E[x.z 1{w.x >= 0, w.z >= 0}] = x.z (pi - theta) / (2 pi)``,
    "second" is ``E[relu(w.x) relu(w.z)] = |x| |z| (sin theta + (pi - theta) cos theta) / (2 pi)``, "both" their sum.
    Deeper, the second layer's kernel S takes the place of x.z, and the tangent kernel T becomes ``S_h + T_{h-1} (pi -
    theta_{h-1}) / (2 pi)``, everything times scale^2 in each layer.

    Parameters
    ----------
    X : array, shape (n, d)
    Z : array, shape (k, d), optional
        Second set of points, X itself by default.
    layers : {"first", "second", "both"}
    depth : int
        Number of hidden layers.
    scale : float
        The activation is ``scale * relu``.

    Returns
    -------
    array of float64, shape (n, k)
        Without Z exactly symmetric, with an exact diagonal. Zero where a point is zero.

    Raises
    ------
    ValueError
        For an unknown `layers`.

    Notes
    -----
    2 n k d flops and n k arccosines, and 4 d flops more for each pair closer than 26 degrees to parallel or
    antiparallel: those take ``pi - theta = 2 atan2(|u + v|, |u - v|)`` for unit vectors u and v, which loses nothing
    to cancellation; the angles of deeper layers come from ``1 - cos``. Assumption 3.1 of Du et al. for "first"; Cho and
    Saul (2009), eq. (6), for "second"; Jacot et al. (2018), Theorem 1, for the recursion.

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
    gap = _angles_to_opposite(X, other)  # pi - theta
    size = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(other, axis=1))
    tangent = X @ other.T
    for _ in range(depth):
        size = size * (scale**2 / 2)
        derivative = gap * (scale**2 / (2 * math.pi))
        covariance = size * (np.sin(gap) - gap * np.cos(gap)) / math.pi
        first = tangent * derivative
        tangent = covariance + first
        gap = _next_gap(gap)
    limit = {"first": first, "second": covariance, "both": tangent}[layers]
    if Z is None:
        squares = np.einsum("ij,ij->i", X, X) * (scale**2 / 2) ** depth
        _make_symmetric(limit, squares * (depth + 1 if layers == "both" else 1))
    return limit


def strong_limit_gram(X: NDArray[Any], layers: str = "first", depth: int = 1) -> NDArray[Any]:
    """``limit_gram(X)`` in the fastest NumPy: one BLAS product, then in-place arccosines of blocks that stay in cache.

    Parameters
    ----------
    X : array, shape (n, d)
        Without zero rows; its precision is that of everything.
    layers : {"first", "second", "both"}
    depth : int

    Returns
    -------
    array of X's dtype, shape (n, n)

    Notes
    -----
    A baseline for speed. The angles of nearly parallel points are lost in the rounding of the cosine (below 1e-8 in
    float64, 3e-4 in float32); `limit_gram` keeps them.

    Examples
    --------
    >>> strong_limit_gram(np.array([[1.0, 0.0], [0.0, 2.0]]))
    array([[0.5, 0. ],
           [0. , 2. ]])
    """
    check_layers(layers)
    limit = X @ X.T
    norms = np.sqrt(limit.diagonal())
    inverse, scaled = 1 / norms, norms * limit.dtype.type(0.5**depth)
    rows = max(1, _BLOCK // len(X))
    scratch = np.empty((3, rows, len(X)), limit.dtype)
    for start in range(0, len(X), rows):
        tangent = limit[start : start + rows]
        cosine, derivative, sine = scratch[:, : len(tangent)]
        tangent *= inverse[start : start + rows, np.newaxis]
        tangent *= inverse
        np.clip(tangent, -1, 1, out=tangent)
        cosine[...] = tangent
        for _ in range(depth):
            np.arccos(cosine, out=derivative)
            np.subtract(math.pi, derivative, out=derivative)
            derivative *= 1 / math.pi
            if layers != "first":
                np.multiply(cosine, cosine, out=sine)
                np.subtract(1, sine, out=sine)
                np.sqrt(sine, out=sine)
                sine *= 1 / math.pi
                cosine *= derivative
                cosine += sine
            if layers != "second":
                tangent *= derivative
            if layers == "both":
                tangent += cosine
        if layers == "second":
            tangent[...] = cosine
        tangent *= norms[start : start + rows, np.newaxis]
        tangent *= scaled
    squares = np.einsum("ij,ij->i", X, X) * 0.5**depth
    np.fill_diagonal(limit, squares * (depth + 1 if layers == "both" else 1))
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


def _next_gap(gap: NDArray[np.float64]) -> NDArray[np.float64]:
    """``pi - theta`` of the next layer, from one minus its cosine."""
    theta = math.pi - gap
    rest = 2 * np.sin(theta / 2) ** 2 - (np.sin(theta) - theta * np.cos(theta)) / math.pi
    return math.pi - 2 * np.arcsin(np.sqrt(np.clip(rest, 0.0, 1.0) / 2))


def _make_symmetric(limit: NDArray[np.float64], diagonal: NDArray[np.float64]) -> None:
    """Copy the upper triangle to the lower one and write the exact diagonal, in place."""
    lower = np.tril_indices_from(limit, -1)
    limit[lower] = limit.T[lower]
    np.fill_diagonal(limit, diagonal)
