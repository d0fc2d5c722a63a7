"""The tangent kernel of a deep network at finite width."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.compilation.threads import kernel_threads
from fastntk.matrices.layers import LayerGrams
from fastntk.matrices.tiled.source import Estimate
from fastntk.model.deep import DeepReLU
from fastntk.model.layers import ForwardState, forward_bytes
from fastntk.model.words import layer_numbers


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
    require_memory(8 * n * n + LayerGrams.bytes_needed(n), f"the Gram matrix of n={n} samples")
    with kernel_threads(), np.errstate(over="ignore", invalid="ignore"):
        total = np.zeros((n, n))
        for _, G in grams_of(samples, net, numbers):
            total += G
        found = total.astype(kind, copy=False)
    if not checks.all_finite(found):
        raise ValueError(
            f"X and the weights of net must keep all layers within the range of {net.dtype.name}, and the Gram matrix "
            f"within that of {kind.name}, got an overflow: scale X down, its largest entry is "
            f"{np.abs(samples).max():.3g}"
        )
    if out is None:
        return found
    if getattr(out, "shape", None) != (n, n):
        raise ValueError(f"out must be an array of shape {(n, n)} with a DeepReLU, got {out!r}")
    out[...] = found
    return out


def estimate(
    n: int, d: int, widths: tuple[int, ...], numbers: tuple[int, ...], net: np.dtype, dtype: np.dtype
) -> Estimate:
    """For these layers of a network of precision `net` whose output weights are signs."""
    depth, pairs, inputs = len(widths), n * (n + 1) // 2, (d, *widths)
    products = n * sum(rows * columns for rows, columns in zip(widths, inputs, strict=False))
    products += n * sum(widths[h] * widths[h - 1] for h in range(numbers[0], depth))
    products += pairs * sum(inputs[layer - 1] for layer in numbers)
    products += pairs * sum(widths[layer - 1] for layer in numbers if layer < depth)
    held = forward_bytes(n, d, widths, net) + n * sum(widths[numbers[0] - 1 :]) * net.itemsize
    held += LayerGrams.bytes_needed(n) + (8 * n * n if dtype.itemsize < 8 else 0)
    return Estimate(
        multiply_adds=products,
        bit_products=pairs * widths[-1] if depth in numbers else 0,
        filling_bytes=held,
        lasting_bytes=held,
    )


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
