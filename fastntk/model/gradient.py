"""Gradient of the loss with respect to the first layer."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base.checks import same_columns
from fastntk.device import checks
from fastntk.device.arrays import give_back, library_of, on_one_gpu
from fastntk.device.dispatch import backend
from fastntk.kernels.scratch import column_tiles
from fastntk.model.masked_sums import scaled_sums
from fastntk.model.patterns import forward_pass


def loss_gradient(X: npt.ArrayLike, y: npt.ArrayLike, W: npt.ArrayLike, a: npt.ArrayLike) -> Any:
    """Gradient of ``L = 1/2 sum_i (u_i - y_i)^2`` by the weights of the first layer.

    ``G_r = (a_r / sqrt(m)) sum_i (u_i - y_i) 1{w_r . x_i >= 0} x_i`` with
    ``u_i = (1 / sqrt(m)) sum_r a_r relu(w_r . x_i)``.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples.
    y : array_like, shape (n,)
        Labels.
    W : array_like, shape (m, d)
        Weights of the first layer; float32 or float64 decides the precision.
    a : array_like, shape (m,)
        Weights of the second layer.

    Returns
    -------
    ndarray, shape (m, d)
        In the dtype of ``W``; of arrays on a GPU an array there.

    Raises
    ------
    ValueError, TypeError
        If an argument is empty, not finite, not real, or the shapes disagree.

    Notes
    -----
    Cost: ``2 n d m`` flops of BLAS for the outputs, then ``n d m / 6`` additions for the bits-times-dense product.
    Relative rounding error near ``sqrt(n)`` units.  At a kink (``w_r . x_i = 0``) zero counts as active.
    Source: Du et al. (arXiv 1810.02054), Equation (4).

    Examples
    --------
    >>> import fastntk
    >>> fastntk.loss_gradient([[1.0, 2.0]], [0.0], [[1.0, 1.0]], [1.0])
    array([[3., 6.]])
    """
    on_gpu = on_one_gpu(X=X, y=y, W=W, a=a)
    weights = checks.matrix(W, "W")
    m = len(weights)
    samples = checks.matrix(X, "X")
    same_columns(samples, "X", weights, "W")
    checks.representable(samples, "X", weights.dtype)
    signs = checks.vector(a, "a", m, "W", weights.dtype)
    labels = checks.vector(y, "y", len(samples), "X", np.float64)
    checks.representable(labels, "y", weights.dtype)
    if on_gpu:
        with backend() as gpu:
            found = gpu.loss_gradient(samples, labels, weights, signs)
        return give_back(found, library_of(X))
    masks, u = forward_pass(samples, weights, signs)
    gradient = np.empty_like(weights)
    with np.errstate(over="ignore", invalid="ignore"):
        e = (u - labels).astype(weights.dtype)
        tiles, scale = column_tiles(samples, weights.dtype), signs / np.sqrt(weights.dtype.type(m))
        finite = scaled_sums(masks.bits, tiles, e, scale, gradient)
    if not finite:
        raise ValueError(
            f"X, y, W and a must keep the gradient within the range of {weights.dtype.name}, got an overflow"
        )
    return gradient
