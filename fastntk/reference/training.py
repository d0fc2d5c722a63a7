"""Gradient descent with the quantities of the theory logged on the way."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.reference.kernel import lambda_min, spectral_norm
from fastntk.reference.limit import limit_gram
from fastntk.reference.losses import loss_and_derivative
from fastntk.reference.masks import flip_fraction, strong_coactivation_counts
from fastntk.reference.network import (
    check_layers,
    descend,
    drift,
    outputs,
    pre_activations,
)

METRICS = ("loss", "flips", "drift", "gram", "lambda_min")


def train(
    X: NDArray[Any],
    y: NDArray[Any],
    W: NDArray[Any],
    a: NDArray[Any],
    steps: int = 100,
    lr: float = 0.1,
    metrics: Iterable[str] | str = ("loss", "flips", "drift"),
    every: int = 1,
    layers: str = "first",
    limit: NDArray[np.float64] | None = None,
    loss: str = "squared",
    delta: float = 1.0,
    optimizer: str = "gd",
    momentum: float = 0.9,
    batches: Iterable[NDArray[np.intp]] | None = None,
) -> dict[str, NDArray[Any]]:
    """Gradient descent from given weights, with metrics before the first step and after each one.

    Parameters
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    W : array, shape (m, d)
        Initial first layer. Its dtype is the one everything is computed in; X, y and a are converted to it.
    a : array, shape (m,)
        Initial second layer.
    steps : int
    lr : float
        Step size.
    metrics : iterable of str or "all"
        Any of "loss", "flips", "drift", "gram", "lambda_min".
    every : int
        Log at steps 0, every, 2 every, ... and at the last one.
    layers : {"first", "second", "both"}
        Which weights move. H is the kernel of these layers, with weights ``a_r^2`` on the first one.
    limit : array, shape (n, n), optional
        ``limit_gram(X, layers=layers)``, for callers that have it already. Used by "gram" only.
    loss, delta
        See `loss_and_derivative`.
    optimizer : {"gd", "heavy_ball", "nesterov"}
        With momentum: ``v <- momentum v - lr g``, ``w <- w + v``. Nesterov takes the gradient g at ``w + momentum v``,
        and that point is logged and returned.
    momentum : float
        Of the latter two.
    batches : iterable of arrays of int, optional
        The samples of each step, whose derivatives count n / (their number) times. All, if left out.

    Returns
    -------
    dict
        "steps" (int64), "W" and "a" after the last step, and for each metric one float64 array with an entry per logged
        step k: "loss"; "flips", the fraction of mask entries that differ from step 0; "drift", and "drift_a",
        ``max_r |a_r(k) - a_r(0)|``, where the second layer moves;
        "gram_change", ``|H(k) - H(0)|_2``, and "gram_limit_distance", ``|H(k) - H_inf|_2``, both for "gram";
        "lambda_min" of H(k).

    Raises
    ------
    ValueError
        For an unknown metric or `layers`.

    Notes
    -----
    4 n m d flops per step; n^2 m more where H is needed, in BLAS on zeros and ones, and one or two full
    eigenvalue decompositions of size n. The arguments are left alone.

    Examples
    --------
    >>> X, y = np.array([[1.0], [-1.0]]), np.array([2.0, 0.0])
    >>> log = train(X, y, np.array([[1.0]]), np.array([1.0]), steps=2, lr=0.5)
    >>> log["loss"], log["drift"], log["flips"]
    (array([0.5    , 0.125  , 0.03125]), array([0.  , 0.5 , 0.75]), array([0., 0., 0.]))
    """
    wanted = _checked_metrics(metrics)
    check_layers(layers)
    X, y, a = (array.astype(W.dtype, copy=False) for array in (X, y, a))
    W0, W, a0, a = W, W.copy(), a, a.copy()
    beta = {"gd": 0.0, "heavy_ball": momentum, "nesterov": momentum}[optimizer]
    W_base, a_base, W_velocity, a_velocity = W.copy(), a.copy(), np.zeros_like(W), np.zeros_like(a)
    exact_X = X.astype(np.float64, copy=False)
    inner = exact_X @ exact_X.T
    if "gram" in wanted and limit is None:
        limit = limit_gram(exact_X, layers=layers)

    masks0 = H0 = None
    drawn = None if batches is None else iter(batches)
    log: dict[str, list[float]] = {}
    for k in range(steps + 1):
        Z = pre_activations(X, W)
        masks = Z >= 0
        value, e = loss_and_derivative(outputs(Z, a), y, loss, delta)
        if k % every == 0 or k == steps:
            row: dict[str, float] = {"steps": k}
            if "loss" in wanted:
                row["loss"] = value
            if "flips" in wanted:
                masks0 = masks if masks0 is None else masks0
                row["flips"] = flip_fraction(masks, masks0)
            if "drift" in wanted:
                row["drift"] = drift(W, W0)
                if layers != "first":
                    row["drift_a"] = float(np.abs(a - a0).max())
            if wanted & {"gram", "lambda_min"}:
                H = _tangent_gram(inner, Z, masks, a, layers)
                if "lambda_min" in wanted:
                    row["lambda_min"] = lambda_min(H)
                if "gram" in wanted and limit is not None:
                    H0 = H if H0 is None else H0
                    row["gram_change"] = spectral_norm(H - H0)
                    row["gram_limit_distance"] = spectral_norm(H - limit)
            for name, value in row.items():
                log.setdefault(name, []).append(value)
        if k < steps:
            before = W.copy(), a.copy()
            if drawn is not None:
                batch = next(drawn)
                seen = np.zeros_like(e)
                seen[batch] = e[batch] * (e.size / len(batch))
                e = seen
            descend(X, Z, masks, e, W, a, lr, layers)
            if beta:
                W_velocity = beta * W_velocity + (W - before[0])
                a_velocity = beta * a_velocity + (a - before[1])
                W_base, a_base = W_base + W_velocity, a_base + a_velocity
                ahead = beta if optimizer == "nesterov" else 0.0
                W, a = W_base + ahead * W_velocity, a_base + ahead * a_velocity

    arrays = {name: np.array(values, dtype=np.float64) for name, values in log.items()}
    return {**arrays, "steps": arrays["steps"].astype(np.int64), "W": W, "a": a}


def _tangent_gram(
    inner: NDArray[np.float64], Z: NDArray[Any], masks: NDArray[np.bool_], a: NDArray[Any], layers: str
) -> NDArray[np.float64]:
    """`tangent_gram` from products that are known already: ``inner = X X^T`` and ``Z = X W^T``."""
    m = a.size
    H = np.zeros_like(inner)
    if layers != "second":
        if np.all(np.abs(a) == 1):
            H += inner * strong_coactivation_counts(masks) / m
        else:
            weighted = np.abs(a.astype(np.float64)) * masks
            H += inner * (weighted @ weighted.T) / m
    if layers != "first":
        active = np.maximum(Z, 0).astype(np.float64)
        H += active @ active.T / m
    return H


def _checked_metrics(metrics: Iterable[str] | str) -> set[str]:
    """The metrics as a set, "all" spelt out."""
    wanted = set(METRICS) if metrics == "all" else {metrics} if isinstance(metrics, str) else set(metrics)
    unknown = sorted(wanted - set(METRICS))
    if unknown:
        raise ValueError(f"metrics: unknown {', '.join(unknown)}; known are {', '.join(METRICS)} and 'all'")
    return wanted
