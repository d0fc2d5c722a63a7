"""Gradient flow by SciPy's integrator on the plain gradient."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from fastntk.reference.kernel import lambda_min, tangent_gram
from fastntk.reference.losses import loss_and_derivative
from fastntk.reference.masks import flip_fraction
from fastntk.reference.network import (
    _first_layer_gradient,
    _second_layer_gradient,
    check_layers,
    drift,
    outputs,
    pre_activations,
)


def flow(
    X: NDArray[Any],
    y: NDArray[Any],
    W: NDArray[Any],
    a: NDArray[Any],
    times: Sequence[float] | NDArray[np.float64],
    layers: str = "first",
    loss: str = "squared",
    delta: float = 1.0,
    rtol: float = 1e-8,
) -> dict[str, NDArray[Any]]:
    """Gradient flow ``dw_r/dt = -dL/dw_r`` from given weights, with metrics at the given times.

    Parameters
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    W : array, shape (m, d)
        Initial first layer.
    a : array, shape (m,)
        Initial second layer.
    times : sequence of float
        Ascending from 0, at least two.
    layers : {"first", "second", "both"}
        Which weights move.
    loss, delta
        See `loss_and_derivative`.
    rtol : float
        Relative tolerance of the integrator on every weight; the absolute one is a hundredth of it.

    Returns
    -------
    dict
        "times", "W" and "a" at the last of them, and float64 arrays with an entry per time: "loss", "flips", "drift",
        "lambda_min", and "drift_a" where the second layer moves; see `train`.

    Raises
    ------
    ValueError
        For unknown `layers`.
    RuntimeError
        If the integrator gives up.

    Notes
    -----
    In float64, 4 n m d flops for each of the integrator's many evaluations.  At a kink the rates jump, and the steps
    there are short.

    Examples
    --------
    >>> X, y, W, a = np.array([[1.0]]), np.array([1.0]), np.array([[3.0]]), np.array([1.0])
    >>> np.round(flow(X, y, W, a, [0.0, np.log(2.0)])["W"], 6)
    array([[2.]])
    """
    check_layers(layers)
    X, y, W, a = (np.asarray(array, dtype=np.float64) for array in (X, y, W, a))

    def split(state: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return state[: W.size].reshape(W.shape), state[W.size :]

    def rates(_: float, state: NDArray[np.float64]) -> NDArray[np.float64]:
        first, second = split(state)
        Z = pre_activations(X, first)
        _, e = loss_and_derivative(outputs(Z, second), y, loss, delta)
        down = np.zeros_like(state)
        if layers != "second":
            down[: W.size] = -_first_layer_gradient(X, Z >= 0, e, second).ravel()
        if layers != "first":
            down[W.size :] = -_second_layer_gradient(Z, e)
        return down

    instants = np.asarray(times, dtype=np.float64)
    start = np.concatenate((W.ravel(), a))
    found = solve_ivp(rates, (0.0, instants[-1]), start, t_eval=instants, rtol=rtol, atol=0.01 * rtol)
    if not found.success:
        raise RuntimeError(found.message)

    log: dict[str, list[float]] = {"loss": [], "flips": [], "drift": [], "lambda_min": []}
    masks = pre_activations(X, W) >= 0
    for state in found.y.T:
        first, second = split(state)
        Z = pre_activations(X, first)
        log["loss"].append(loss_and_derivative(outputs(Z, second), y, loss, delta)[0])
        log["flips"].append(flip_fraction(Z >= 0, masks))
        log["drift"].append(drift(first, W))
        log["lambda_min"].append(lambda_min(tangent_gram(X, first, second, layers=layers)))
        if layers != "first":
            log.setdefault("drift_a", []).append(float(np.abs(second - a).max()))
    arrays = {name: np.array(values, dtype=np.float64) for name, values in log.items()}
    return {**arrays, "times": instants, "W": first, "a": second}
