"""Gradient descent of the first layer as one path, and the parts from which the path engine makes it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.reference.losses import loss_and_derivative
from fastntk.reference.network import descend, drift, outputs, pre_activations

Motion = tuple[float, float, float] | NDArray[np.float64]


def flow_motion(sizes: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps of a gradient flow as five of descent each, of sizes (steps,) and motions (steps, 3) of `residual_path`.

    From y to E(y), E(E(y)), far = E(E(E(y))), middle = (2 y + far) / 3 and E(middle), where E moves down the gradient
    by half of the size.

    Examples
    --------
    >>> one = np.array([[1.0]])
    >>> lr, motion = flow_motion([0.2])
    >>> path = residual_path(one, np.array([1.0]), 3.0 * one, np.array([1.0]), 5, lr, motion=motion)
    >>> path["e"].ravel().round(6)
    array([2.      , 1.8     , 1.62    , 1.458   , 1.819333, 1.6374  ])
    """
    stages = [(0.0, 0.0, 1.0), (1.0, 0.0, 1.0), (1.0, 0.0, 1.0), (1.0, -2.0 / 3.0, 0.0), (0.0, 0.0, 1.0)]
    lr = [half for size in sizes for half in (size / 2.0, size / 2.0, size / 2.0, 0.0, size / 2.0)]
    return np.array(lr), np.array(stages * len(sizes))


def residual_path(
    X: NDArray[Any],
    y: NDArray[Any],
    W: NDArray[Any],
    a: NDArray[Any],
    steps: int,
    lr: float | NDArray[np.float64],
    loss: str = "squared",
    delta: float = 1.0,
    motion: Motion = (0.0, 1.0, 0.0),
) -> dict[str, NDArray[Any]]:
    """Every step of descent on the first layer, with every change of the pattern.

    Parameters
    ----------
    X, y, W, a, steps, lr, loss, delta
        See `train`; lr may also be an array with an entry for each step.
    motion : (beta, b, c), or rows of them for each step
        ``v <- beta v + g``, ``W <- W + b v + c g`` for a step g down the gradient: (0, 1, 0) is plain descent,
        (beta, 1, 0) heavy ball, (beta, beta, 1) Nesterov's method seen from the point it looks ahead to.  With
        `flow_motion` the steps are the stages of those of a gradient flow.

    Returns
    -------
    dict
        "u", "e" (steps + 1, n); "loss", "flips" (a count), "drift" (steps + 1,); "events", rows of step, sample,
        neuron and whether it turns on, in that order; "masks" (steps + 1, n, m) and "W" at the end.

    Examples
    --------
    >>> one = np.array([[1.0]])
    >>> path = residual_path(one, np.array([-3.0]), one, np.array([1.0]), steps=2, lr=0.5)
    >>> path["e"].ravel(), path["events"]
    (array([4., 3., 3.]), array([[1, 0, 0, 0]]))
    """
    sizes, moves = np.broadcast_to(lr, steps), np.broadcast_to(motion, (steps, 3))
    start, W, velocity = W, W.copy(), np.zeros_like(W)
    path: dict[str, list[Any]] = {name: [] for name in ("u", "e", "loss", "flips", "drift", "masks")}
    for step in range(steps + 1):
        Z = pre_activations(X, W)
        u = outputs(Z, a)
        value, e = loss_and_derivative(u, y, loss, delta)
        masks = Z >= 0
        first = path["masks"][0] if step else masks
        row = (u, e, value, np.count_nonzero(masks != first), drift(W, start), masks)
        for name, entry in zip(path, row, strict=True):
            path[name].append(entry)
        if step < steps:
            down = np.zeros_like(W)
            descend(X, Z, masks, e, down, a, float(sizes[step]), "first")
            beta, ahead, direct = moves[step]
            velocity = beta * velocity + down
            W = W + ahead * velocity + direct * down
    arrays = {name: np.array(values) for name, values in path.items()}
    t, i, r = np.nonzero(arrays["masks"][1:] != arrays["masks"][:-1])
    events = np.stack((t + 1, i, r, arrays["masks"][t + 1, i, r]), axis=1)
    return {**arrays, "events": events, "W": W}


def displacements(K: NDArray[Any], directions: NDArray[Any], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """``D_j,ir = sum_l K_il b_jl M_lr`` for directions b (p, n): (p, n, m).

    Examples
    --------
    >>> displacements(np.eye(2), np.array([[2.0, 3.0]]), np.array([[True, False], [True, True]]))
    array([[[2., 0.],
            [3., 3.]]])
    """
    return np.einsum("il,jl,lr->jir", K, directions, masks.astype(np.float64))


def candidates(
    Z: NDArray[Any], unit: NDArray[Any], D: NDArray[Any], corners: NDArray[Any], room: NDArray[Any]
) -> NDArray[np.bool_]:
    """Entries with ``|z_ir| <= |unit_r| (max_v |sum_j c_vj D_j,ir| + room_i)``, (n, m).

    Examples
    --------
    >>> Z, D = np.array([[0.5, -4.0]]), np.array([[[1.0, 1.0]]])
    >>> candidates(Z, np.array([1.0, 1.0]), D, np.array([[2.0]]), np.array([0.0]))
    array([[ True, False]])
    """
    bound = np.abs(np.einsum("vj,jir->vir", corners, D)).max(axis=0) + room[:, None]
    return np.abs(Z) <= np.abs(unit) * bound


def neuron_path(
    z: NDArray[Any],
    K: NDArray[Any],
    unit: float,
    straight: NDArray[Any],
    gradients: NDArray[Any],
    motion: Motion = (0.0, 1.0, 0.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pre-activations of one neuron along a path, and the coefficients q of its changed samples.

    ``z_i(s) = z_i - unit (straight_i(s) + sum_l K_il q_l(s))``, where q follows the gradients of the samples that are
    on but were off, or the reverse.

    Parameters
    ----------
    z : array, shape (n,)
    K : array, shape (n, n)
    unit : float
        ``a_r / sqrt(m)``.
    straight : array, shape (steps + 1, n)
        ``sum_l K_il M_l(0) E_l(s)``.
    gradients : array, shape (steps, n)
        ``lr e(s)``.
    motion
        See `residual_path`.

    Returns
    -------
    two arrays, shape (steps + 1, n)

    Examples
    --------
    >>> neuron_path(np.array([1.0]), np.eye(1), 1.0, np.array([[0.0], [2.0], [5.0]]), np.array([[2.0], [3.0]]))[0]
    array([[ 1.],
           [-1.],
           [-1.]])
    """
    moves = np.broadcast_to(motion, (len(gradients), 3))
    q, velocity = np.zeros(z.size), np.zeros(z.size)
    path, coefficients = [np.asarray(z, np.float64)], [q]
    for step, gradient in enumerate(gradients):
        beta, ahead, direct = moves[step]
        push = ((path[-1] >= 0).astype(np.float64) - (path[0] >= 0)) * gradient
        velocity = beta * velocity + push
        q = q + ahead * velocity + direct * push
        path.append(z - unit * (straight[step + 1] + K @ q))
        coefficients.append(q)
    return np.array(path), np.array(coefficients)


def changed_outputs(Z: NDArray[Any], a: NDArray[Any]) -> NDArray[np.float64]:
    """``S_i(s) = (1/sqrt(m)) sum_r a_r (M_ir(s) - M_ir(0)) z_ir(s)`` for a path of Z (steps + 1, n, m).

    Examples
    --------
    >>> changed_outputs(np.array([[[1.0]], [[-2.0]]]), np.array([1.0]))
    array([[0.],
           [2.]])
    """
    turned = (Z >= 0).astype(np.float64) - (Z[0] >= 0)
    return (turned * Z) @ a / np.sqrt(a.size)


def read_out_step(
    K: NDArray[Any],
    masks: NDArray[np.bool_],
    first: NDArray[np.bool_],
    a: NDArray[Any],
    gradient: NDArray[Any],
) -> NDArray[np.float64]:
    """How a step ``lr e`` at the pattern `masks` moves the outputs that are read out at the first pattern.

    ``-(1/m) sum_l K_il C_li lr e_l`` with ``C_li = sum_r a_r^2 M_lr M_ir(0)``.

    Examples
    --------
    >>> on = np.array([[True]])
    >>> read_out_step(np.array([[1.0]]), on, on, np.array([1.0]), np.array([0.5]))
    array([-0.5])
    """
    C = (masks * np.square(a, dtype=np.float64)) @ first.T
    return -(K * C).T @ gradient / a.size


def following_counts(first: NDArray[np.bool_], now: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Common activations of a pattern as ``C0 + F + F^T + N`` from those of the first and from what has changed.

    ``F_il = sum_r M0_ir (M_lr - M0_lr)``, ``N_il = sum_r (M_ir - M0_ir) (M_lr - M0_lr)``.

    Examples
    --------
    >>> following_counts(np.array([[True, False]]), np.array([[True, True]]))
    array([[2]])
    """
    start, turned = first.astype(np.int64), now.astype(np.int64) - first.astype(np.int64)
    F = start @ turned.T
    return start @ start.T + F + F.T + turned @ turned.T
