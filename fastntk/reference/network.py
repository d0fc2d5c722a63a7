"""The network, its loss, the gradients and one step of gradient descent.

``f(x) = (1/sqrt(m)) sum_r a_r relu(w_r . x)`` and ``L = 1/2 sum_i (f(x_i) - y_i)^2``. Every function works in the dtype
of the arrays it is given.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

LAYERS = ("first", "second", "both")


def check_layers(layers: str) -> None:
    """Raise ValueError unless `layers` names a set of trained layers."""
    if layers not in LAYERS:
        raise ValueError(f"layers must be one of {', '.join(LAYERS)}, got {layers!r}")


def pre_activations(X: NDArray[Any], W: NDArray[Any]) -> NDArray[Any]:
    """What enters the ReLU: ``Z_ir = w_r . x_i``.

    Parameters
    ----------
    X : array, shape (n, d)
    W : array, shape (m, d)

    Returns
    -------
    array, shape (n, m)

    Examples
    --------
    >>> pre_activations(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [-1.0, 0.0]]))
    array([[11., -1.]])
    """
    return X @ W.T


def outputs(Z: NDArray[Any], a: NDArray[Any]) -> NDArray[Any]:
    """Network outputs from pre-activations: ``u_i = (1/sqrt(m)) sum_r a_r relu(Z_ir)``.

    Parameters
    ----------
    Z : array, shape (n, m)
    a : array, shape (m,)

    Returns
    -------
    array, shape (n,)

    Examples
    --------
    >>> outputs(np.array([[1.0, 2.0, -3.0, 4.0]]), np.array([1.0, -1.0, 1.0, 1.0]))
    array([1.5])
    """
    return np.maximum(Z, 0) @ a / math.sqrt(a.size)


def forward(X: NDArray[Any], W: NDArray[Any], a: NDArray[Any]) -> NDArray[Any]:
    """Network outputs: ``u_i = (1/sqrt(m)) sum_r a_r relu(w_r . x_i)``.

    Parameters
    ----------
    X : array, shape (n, d)
    W : array, shape (m, d)
    a : array, shape (m,)

    Returns
    -------
    array, shape (n,)

    Notes
    -----
    2 n m d flops. Eq. (1) of Du et al. (arXiv 1810.02054).

    Examples
    --------
    >>> forward(np.array([[1.0], [-1.0]]), np.array([[3.0], [1.0], [-1.0], [2.0]]), np.array([1.0, 1.0, 1.0, -1.0]))
    array([1. , 0.5])
    """
    return outputs(pre_activations(X, W), a)


def residual(u: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Errors ``u - y``, refusing shapes that NumPy would broadcast to a matrix."""
    if u.shape != y.shape:
        raise ValueError(f"u and y must have one shape, got {u.shape} and {y.shape}")
    return u - y


def loss(u: NDArray[Any], y: NDArray[Any]) -> float:
    """Half the sum of squares, ``L = 1/2 sum_i (u_i - y_i)^2``; not a mean.

    Parameters
    ----------
    u, y : array, shape (n,)

    Returns
    -------
    float
        Squared and summed in float64.

    Raises
    ------
    ValueError
        When the shapes differ.

    Notes
    -----
    Eq. (2) of Du et al.

    Examples
    --------
    >>> loss(np.array([1.0, 2.0]), np.array([0.0, 5.0]))
    5.0
    """
    e = residual(u, y).astype(np.float64)
    return 0.5 * float(e @ e)


def _first_layer_gradient(
    X: NDArray[Any], masks: NDArray[np.bool_], e: NDArray[Any], a: NDArray[Any], scale: float = 1.0
) -> NDArray[Any]:
    """Gradient with respect to W times `scale`, from masks and residual."""
    gradient = masks.T.astype(e.dtype) @ (e[:, None] * X)
    gradient *= (scale / math.sqrt(a.size) * a)[:, None]
    return gradient


def _second_layer_gradient(Z: NDArray[Any], e: NDArray[Any]) -> NDArray[Any]:
    """Gradient with respect to a, from pre-activations and residual."""
    return e @ np.maximum(Z, 0) / math.sqrt(Z.shape[1])


def loss_gradient(X: NDArray[Any], y: NDArray[Any], W: NDArray[Any], a: NDArray[Any]) -> NDArray[Any]:
    """Gradient of the loss in the first layer: ``G_r = (a_r/sqrt(m)) sum_i (u_i - y_i) 1{w_r . x_i >= 0} x_i``.

    Parameters
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    W : array, shape (m, d)
    a : array, shape (m,)

    Returns
    -------
    array, shape (m, d)

    Notes
    -----
    4 n m d flops. On a kink (``w_r . x_i = 0``) the neuron counts as active.

    Examples
    --------
    >>> loss_gradient(np.array([[1.0], [-2.0]]), np.array([1.0, 1.0]), np.array([[3.0]]), np.array([1.0]))
    array([[2.]])
    """
    Z = pre_activations(X, W)
    return _first_layer_gradient(X, Z >= 0, residual(outputs(Z, a), y), a)


def second_layer_gradient(X: NDArray[Any], y: NDArray[Any], W: NDArray[Any], a: NDArray[Any]) -> NDArray[Any]:
    """Gradient of the loss in the second layer: ``g_r = (1/sqrt(m)) sum_i (u_i - y_i) relu(w_r . x_i)``.

    Parameters
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    W : array, shape (m, d)
    a : array, shape (m,)

    Returns
    -------
    array, shape (m,)

    Examples
    --------
    >>> second_layer_gradient(np.array([[1.0], [-2.0]]), np.array([1.0, 1.0]), np.array([[3.0]]), np.array([1.0]))
    array([6.])
    """
    Z = pre_activations(X, W)
    return _second_layer_gradient(Z, residual(outputs(Z, a), y))


def step(
    X: NDArray[Any],
    y: NDArray[Any],
    W: NDArray[Any],
    a: NDArray[Any],
    lr: float,
    layers: str = "first",
) -> tuple[NDArray[Any], NDArray[Any]]:
    """One step of gradient descent on the chosen layers.

    Parameters
    ----------
    X : array, shape (n, d)
    y : array, shape (n,)
    W : array, shape (m, d)
    a : array, shape (m,)
    lr : float
        Step size.
    layers : {"first", "second", "both"}
        Which weights move. With "both", both gradients are taken at the weights before the step.

    Returns
    -------
    W : array, shape (m, d)
    a : array, shape (m,)
        The weights after the step, as new arrays.

    Raises
    ------
    ValueError
        For an unknown `layers`.

    Notes
    -----
    4 n m d flops. Eq. (3) of Du et al.; their section 3.1 for both layers.

    Examples
    --------
    >>> step(np.array([[1.0]]), np.array([1.0]), np.array([[3.0]]), np.array([1.0]), lr=0.5)
    (array([[2.]]), array([1.]))
    """
    check_layers(layers)
    W, a = W.copy(), a.copy()
    Z = pre_activations(X, W)
    descend(X, Z, Z >= 0, residual(outputs(Z, a), y), W, a, lr, layers)
    return W, a


def descend(
    X: NDArray[Any],
    Z: NDArray[Any],
    masks: NDArray[np.bool_],
    e: NDArray[Any],
    W: NDArray[Any],
    a: NDArray[Any],
    lr: float,
    layers: str,
) -> None:
    """`step` in place, with pre-activations, masks and residual that are known already."""
    if layers != "second":
        W -= _first_layer_gradient(X, masks, e, a, scale=lr)
    if layers != "first":
        a -= lr * _second_layer_gradient(Z, e)


def drift(W: NDArray[Any], W0: NDArray[Any]) -> float:
    """How far the neuron that moved most is from where it started: ``max_r |w_r - w0_r|_2``.

    Parameters
    ----------
    W, W0 : array, shape (m, d)

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When the shapes differ.

    Notes
    -----
    The distance of Lemma 3.3 of Du et al.

    Examples
    --------
    >>> drift(np.array([[3.0, 4.0], [1.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]))
    5.0
    """
    if W.shape != W0.shape:
        raise ValueError(f"W and W0 must have one shape, got {W.shape} and {W0.shape}")
    return float(np.linalg.norm(W - W0, axis=1).max())
