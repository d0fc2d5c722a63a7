"""The tangent kernel of a deep network at finite width."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.compilation.threads import kernel_threads
from fastntk.matrices.layers import LayerGrams
from fastntk.model.deep import DeepReLU, layer_numbers
from fastntk.model.layers import ForwardState


def deep_gram(
    X: npt.ArrayLike,
    net: DeepReLU,
    layers: Any,
    Z: Any = None,
    dtype: npt.DTypeLike = "float64",
    out: Any = None,
) -> np.ndarray:
    """Sum over the layers of the Gram matrices of the gradients, see `fastntk.gram`."""
    if Z is not None:
        raise ValueError("Z must not be given with a DeepReLU: its Gram matrix is that of one set of samples")
    kind = checks.floating_dtype(dtype)
    samples = checks.matrix(X, "X")
    checks.same_columns(samples, "X", net.W[0], "net.W[0]")
    checks.representable(samples, "X", net.dtype)
    numbers, n = layer_numbers(layers, net.depth), len(samples)
    require_memory(4 * 8 * n * n, f"the Gram matrix of n={n} samples")
    with kernel_threads(), np.errstate(over="ignore", invalid="ignore"):
        total = np.zeros((n, n))
        for _, G in grams_of(samples, net, numbers):
            total += G
        found = total.astype(kind, copy=False)
    if not checks.all_finite(found):
        raise ValueError(
            f"X and the weights of net must keep all layers within the range of {net.dtype.name}, and the Gram matrix "
            f"within that of {kind.name}, got an overflow: scale X down, its largest entry is {np.abs(samples).max():.3g}"
        )
    if out is None:
        return found
    if getattr(out, "shape", None) != (n, n):
        raise ValueError(f"out must be an array of shape {(n, n)} with a DeepReLU, got {out!r}")
    out[...] = found
    return out


def grams_of(
    X: np.ndarray, net: DeepReLU, numbers: tuple[int, ...]
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Layers with their Gram matrices at checked samples, each of which lasts until the next is asked for."""
    state = ForwardState(X, net.widths, net.dtype)
    state.forward(net.W, net.a, net.scale)
    columns = state.x[0].shape[1]
    deltas = [np.empty((0, columns), net.dtype) for _ in net.W]
    if numbers[0] <= net.depth:
        ones = np.ones(columns, net.dtype)
        pairs = state.derivatives(
            net.W,
            net.a,
            net.scale,
            ones,
            numbers[0] - 1,
            lambda h: aligned_zeros((net.widths[h], columns), net.dtype),
        )
        for h, delta in pairs:
            deltas[h] = delta
    yield from LayerGrams(X, net.dtype)(numbers, state.x, deltas, state.masks[-1], net.a, net.scale)
