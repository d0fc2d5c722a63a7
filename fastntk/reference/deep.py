"""Networks with several hidden layers: forward, gradients, Gram matrices, training.

``x^(0) = x``, ``z^(h) = W^(h) x^(h-1)``, ``x^(h) = (scale / sqrt(m_h)) relu(z^(h))`` for h = 1 ... H, and
``f = a . x^(H)``.  Layer H + 1 is a.  Every function works in the dtype of the arrays it is given.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.reference.kernel import lambda_min, spectral_norm
from fastntk.reference.limit import _angles_to_opposite, _make_symmetric, _next_gap
from fastntk.reference.losses import loss_and_derivative
from fastntk.reference.masks import flip_fraction
from fastntk.reference.network import drift

Arrays = list[NDArray[Any]]


def deep_forward(X: NDArray[Any], W: Sequence[NDArray[Any]], scale: float = 1.0) -> tuple[Arrays, Arrays]:
    """What enters and what leaves each layer: ``z^(1) ... z^(H)`` and ``x^(0) ... x^(H)``.

    Parameters
    ----------
    X : array, shape (n, d)
    W : sequence of H arrays, shapes (m_1, d), (m_2, m_1), ...
    scale : float

    Returns
    -------
    list of H arrays, list of H + 1 arrays
        One row a sample.

    Notes
    -----
    2 n m^2 flops a layer.

    Examples
    --------
    >>> Z, x = deep_forward(np.array([[1.0]]), [np.array([[4.0]]), np.array([[3.0], [-1.0], [0.0], [1.0]])])
    >>> Z[1], x[2]
    (array([[12., -4.,  0.,  4.]]), array([[6., 0., 0., 2.]]))
    """
    Z, x = [], [X]
    for weights in W:
        Z.append(x[-1] @ weights.T)
        x.append(np.maximum(Z[-1], 0) * (scale / math.sqrt(len(weights))))
    return Z, x


def deep_deltas(
    Z: Sequence[NDArray[Any]], W: Sequence[NDArray[Any]], a: NDArray[Any], scale: float = 1.0
) -> Arrays:
    """Derivatives of the outputs by what enters each layer: ``delta^(1) ... delta^(H)``, zero counted as active.

    ``delta^(H) = (scale / sqrt(m)) a o M^(H)`` and ``delta^(h) = (scale / sqrt(m)) M^(h) o (W^(h+1)^T delta^(h+1))``.

    Parameters
    ----------
    Z : sequence of H arrays, shapes (n, m_h)
    W : sequence of H arrays
    a : array, shape (m_H,)
    scale : float

    Returns
    -------
    list of H arrays, shapes (n, m_h)

    Examples
    --------
    >>> deep_deltas([np.array([[1.0, 0.0, -1.0, 2.0]])], [np.zeros((4, 3))], np.array([1.0, -1.0, 1.0, 1.0]))
    [array([[ 0.5, -0.5,  0. ,  0.5]])]
    """
    deltas: Arrays = []
    above = np.broadcast_to(a, Z[-1].shape)
    for h in reversed(range(len(W))):
        deltas.insert(0, above * (Z[h] >= 0) * above.dtype.type(scale / math.sqrt(len(W[h]))))
        above = deltas[0] @ W[h]
    return deltas


def deep_gradients(
    X: NDArray[Any], e: NDArray[Any], W: Sequence[NDArray[Any]], a: NDArray[Any], scale: float = 1.0
) -> Arrays:
    """Gradients of the loss by W^(h), ``sum_i e_i delta_i^(h) x_i^(h-1)^T``, and by a, ``sum_i e_i x_i^(H)``.

    Parameters
    ----------
    X : array, shape (n, d)
    e : array, shape (n,)
        Derivatives of the loss by the outputs.
    W : sequence of H arrays
    a : array, shape (m_H,)
    scale : float

    Returns
    -------
    list of H + 1 arrays

    Notes
    -----
    6 n m^2 flops a layer.

    Examples
    --------
    >>> W, a = [np.array([[2.0]]), np.array([[3.0]])], np.array([-1.0])
    >>> deep_gradients(np.array([[5.0]]), np.array([1.0]), W, a)
    [array([[-15.]]), array([[-10.]]), array([30.])]
    """
    Z, x = deep_forward(X, W, scale)
    deltas = deep_deltas(Z, W, a, scale)
    moved = [(delta * e[:, None]).T @ below for delta, below in zip(deltas, x, strict=False)]
    return [*moved, e @ x[-1]]


def deep_grams(
    X: NDArray[Any], W: Sequence[NDArray[Any]], a: NDArray[Any], scale: float = 1.0
) -> list[NDArray[np.float64]]:
    """Gram matrices of the gradients by each layer: ``G^(h)_ij = (x_i^(h-1) . x_j^(h-1)) (delta_i^(h) . delta_j^(h))``.

    The last of the H + 1 is that of a, ``x_i^(H) . x_j^(H)``; the sum over the layers that move is the tangent kernel.

    Parameters
    ----------
    X : array, shape (n, d)
    W : sequence of H arrays
    a : array, shape (m_H,)
    scale : float

    Returns
    -------
    list of H + 1 arrays of float64, shape (n, n)

    Notes
    -----
    2 n^2 m flops for each of the 2 H factors, in float64 from values in the precision of the weights.

    Examples
    --------
    >>> deep_grams(np.array([[5.0]]), [np.array([[2.0]]), np.array([[3.0]])], np.array([-1.0]))
    [array([[225.]]), array([[100.]]), array([[900.]])]
    """
    Z, x = deep_forward(X, W, scale)
    values = [value.astype(np.float64) for value in x]
    deltas = [delta.astype(np.float64) for delta in deep_deltas(Z, W, a, scale)]
    covariances = [value @ value.T for value in values]
    hidden = [S * (delta @ delta.T) for S, delta in zip(covariances, deltas, strict=False)]
    return [*hidden, covariances[-1]]


def deep_limits(X: NDArray[Any], depth: int, scale: float = 1.0) -> list[NDArray[np.float64]]:
    """Limits of `deep_grams` as all widths grow: ``S^(h-1) o S'^(h) o ... o S'^(H)``, and ``S^(H)`` for a.

    S^(h) is the covariance of layer h, ``S^(0) = X X^T``, and ``S'^(h) = scale^2 (pi - theta^(h-1)) / (2 pi)`` with the
    angles of S^(h-1).

    Parameters
    ----------
    X : array, shape (n, d)
    depth : int
        Number H of hidden layers.
    scale : float

    Returns
    -------
    list of H + 1 arrays of float64, shape (n, n)

    Notes
    -----
    Jacot et al. (2018), Theorem 1, term by term; Du et al. (2018), "Gradient descent finds global minima of deep neural
    networks", Definition of K^(h).

    Examples
    --------
    >>> [float(S[0, 0]) for S in deep_limits(np.array([[2.0]]), depth=2)]
    [1.0, 1.0, 1.0]
    """
    X = X.astype(np.float64, copy=False)
    gap = _angles_to_opposite(X, X)  # pi - theta
    norms = np.linalg.norm(X, axis=1)
    size = np.outer(norms, norms)
    covariances, derivatives = [X @ X.T], []
    for _ in range(depth):
        size = size * (scale**2 / 2)
        derivatives.append(gap * (scale**2 / (2 * math.pi)))
        covariances.append(size * (np.sin(gap) - gap * np.cos(gap)) / math.pi)
        gap = _next_gap(gap)
    terms = [math.prod(derivatives[h:], start=covariances[h]) for h in range(depth + 1)]
    squares = np.einsum("ij,ij->i", X, X) * (scale**2 / 2) ** depth
    for term in terms:
        _make_symmetric(term, squares)
    return terms


def moving_layers(layers: str | Sequence[int], depth: int) -> tuple[int, ...]:
    """Numbers of the layers that move, H + 1 for a: of "hidden", "output", "all", or the numbers themselves.

    Examples
    --------
    >>> moving_layers("hidden", 3), moving_layers("output", 3)
    ((1, 2, 3), (4,))
    """
    words = {"hidden": range(1, depth + 1), "output": (depth + 1,), "all": range(1, depth + 2)}
    return tuple(words[layers] if isinstance(layers, str) else layers)


def deep_train(
    X: NDArray[Any],
    y: NDArray[Any],
    W: Sequence[NDArray[Any]],
    a: NDArray[Any],
    steps: int = 100,
    lr: float = 0.1,
    scale: float = 1.0,
    layers: str | Sequence[int] = "hidden",
    every: int = 1,
    loss: str = "squared",
    optimizer: str = "gd",
    momentum: float = 0.9,
    batches: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Gradient descent on the chosen layers, all from the same state, with everything logged.

    Parameters
    ----------
    X, y, steps, lr, every, loss, optimizer, momentum
        As for `train`.
    W : sequence of H arrays
        Their dtype is that of everything.
    a : array, shape (m_H,)
    scale : float
    layers : {"hidden", "output", "all"} or numbers from 1 to H + 1
    batches : array, shape (steps, n), optional
        Factors of the derivatives of the loss in each step: 0 for samples that are not in the batch.

    Returns
    -------
    dict
        "steps", "loss" and "lambda_min_total", an entry per logged step; "flips", "drift" and "drift_norm" (the
        spectral norm of the change over sqrt(m_h)), (steps, H); "lambda_min", "gram_change" and "gram_limit_distance"
        of each G^(h) that moves, (steps, H + 1) with NaN elsewhere; "W" and "a" after the last step.

    Notes
    -----
    The arguments are left alone.

    Examples
    --------
    >>> log = deep_train(np.array([[1.0]]), np.array([0.0]), [np.ones((1, 1))] * 2, np.ones(1), steps=1, lr=0.5)
    >>> log["loss"], log["drift"][-1]
    (array([0.5    , 0.03125]), array([0.5, 0.5]))
    """
    depth, kind = len(W), W[0].dtype
    moving = moving_layers(layers, depth)
    X, y = X.astype(kind, copy=False), y.astype(kind, copy=False)
    start = [*(weights.astype(kind) for weights in W), a.astype(kind)]
    point, velocity = [part.copy() for part in start], [np.zeros_like(part) for part in start]
    beta = 0.0 if optimizer == "gd" else momentum
    look = beta if optimizer == "nesterov" else 0.0
    base = [part.copy() for part in point]
    limits = deep_limits(X, depth, scale)
    masks0: list[NDArray[np.bool_]] = []
    grams0: list[NDArray[np.float64]] = []
    rows: list[dict[str, Any]] = []
    for k in range(steps + 1):
        Z, x = deep_forward(X, point[:-1], scale)
        value, e = loss_and_derivative(x[-1] @ point[-1], y, loss)
        if k % every == 0 or k == steps:
            grams = deep_grams(X, point[:-1], point[-1], scale)
            masks = [z >= 0 for z in Z]
            masks0, grams0 = masks0 or masks, grams0 or grams
            total = sum(grams[h - 1] for h in moving)
            changes = [now - before for now, before in zip(point[:-1], start[:-1], strict=True)]
            row: dict[str, Any] = {"steps": k, "loss": value, "lambda_min_total": lambda_min(total)}  # type: ignore[arg-type]
            row["flips"] = [flip_fraction(now, before) for now, before in zip(masks, masks0, strict=True)]
            row["drift"] = [drift(now, before) for now, before in zip(point[:-1], start[:-1], strict=True)]
            row["drift_norm"] = [np.linalg.norm(change, 2) / math.sqrt(len(change)) for change in changes]
            for name, of in (
                ("lambda_min", lambda h: lambda_min(grams[h])),  # noqa: B023
                ("gram_change", lambda h: spectral_norm(grams[h] - grams0[h])),  # noqa: B023
                ("gram_limit_distance", lambda h: spectral_norm(grams[h] - limits[h])),  # noqa: B023
            ):
                row[name] = [of(h) if h + 1 in moving else math.nan for h in range(depth + 1)]
            rows.append(row)
        if k < steps:
            if batches is not None:
                e = e * batches[k].astype(kind)
            gradients = deep_gradients(X, e, point[:-1], point[-1], scale)
            for h in (layer - 1 for layer in moving):
                velocity[h] = beta * velocity[h] - lr * gradients[h]
                base[h] = base[h] + velocity[h]
                point[h] = base[h] + look * velocity[h]
    log: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {**log, "W": point[:-1], "a": point[-1]}
