"""What the public functions do with arrays on a GPU: check, allocate there, launch, give arrays of that library back.

`fastntk.device.arrays.on_gpu` calls these by name; names and arguments are those of the public functions.
"""

from typing import Any

import numpy as np

import fastntk.base.checks
from fastntk.base.packing import TILE, tiles_of
from fastntk.cuda import checks
from fastntk.cuda.forward import Forward
from fastntk.cuda.matrices import patterns
from fastntk.cuda.matrices.finite import gram, sample_products
from fastntk.cuda.matrices.intervals import gram_interval
from fastntk.cuda.matrices.limit import limit_gram, limit_profile
from fastntk.cuda.matrices.operators import finite_operator, limit_operator
from fastntk.cuda.matrices.patterns import empty_bits, packed, pattern, to_dense
from fastntk.device.arrays import empty, give_back, library_of, upload, view
from fastntk.device.masks import DevicePackedMasks
from fastntk.kernels.cuda.conversion import copy
from fastntk.kernels.cuda.losses import KINDS, loss_terms
from fastntk.kernels.cuda.plans import MaskedSums
from fastntk.kernels.cuda.transposed import scaled_transpose

__all__ = [
    "activation_masks",
    "coactivation_counts",
    "finite_operator",
    "flip_count",
    "flip_marginals",
    "gram",
    "gram_interval",
    "host_copy",
    "limit_gram",
    "limit_operator",
    "limit_profile",
    "loss_gradient",
    "network",
    "outputs",
    "sample_products",
    "to_dense",
]


def _network(X: Any, W: Any, a: Any = None) -> tuple[Any, Any, Any]:
    """Checked samples and weights, all in the precision of W."""
    weights = checks.matrix(W, "W")
    samples = checks.matrix(X, "X", weights.dtype)
    fastntk.base.checks.same_columns(samples, "X", weights, "W")
    signs = None if a is None else checks.vector(a, "a", len(weights), "W", weights.dtype)
    return samples, weights, signs


def activation_masks(X: Any, W: Any) -> DevicePackedMasks:
    """See `fastntk.activation_masks`."""
    samples, weights, _ = _network(X, W)
    return pattern(samples, weights, library_of(X))


def coactivation_counts(masks: Any) -> Any:
    """See `fastntk.coactivation_counts`."""
    return patterns.coactivation_counts(packed(masks, "masks"))


def flip_count(masks_a: Any, masks_b: Any) -> int:
    """See `fastntk.flip_count`."""
    return patterns.flip_count(packed(masks_a, "masks_a"), packed(masks_b, "masks_b"))


def flip_marginals(masks_a: Any, masks_b: Any) -> tuple[Any, Any]:
    """See `fastntk.flip_marginals`."""
    return patterns.flip_marginals(packed(masks_a, "masks_a"), packed(masks_b, "masks_b"))


def host_copy(value: Any) -> np.ndarray:
    """A copy in host memory of an array of any strides."""
    found = view(value, "value")
    if not found.is_c_contiguous():
        copied = empty(tuple(found.shape), found.dtype)
        copy(found, copied)
        found = copied
    return np.asarray(found.copy_to_host())


def network(W: Any, a: Any) -> tuple[Any, Any]:
    """Checked weights of a `fastntk.TwoLayerReLU`."""
    weights = checks.matrix(W, "W")
    signs = checks.vector(a, "a", len(weights), "W", weights.dtype)
    return give_back(weights, library_of(W)), give_back(signs, library_of(a))


def outputs(X: Any, W: Any, a: Any) -> Any:
    """``u`` of `fastntk.TwoLayerReLU`."""
    samples, weights, signs = _network(X, W, a)
    n, m = len(samples), len(weights)
    u = empty(n, np.float64)
    Forward(n, m, weights.dtype)(samples, weights, signs, empty_bits(n, m, weights.dtype), u)
    return give_back(u, library_of(X))


def loss_gradient(X: Any, y: Any, W: Any, a: Any) -> Any:
    """See `fastntk.loss_gradient`."""
    samples, weights, signs = _network(X, W, a)
    (n, d), m, dtype = samples.shape, len(weights), weights.dtype
    labels = checks.vector(y, "y", n, "X", np.float64)
    bits, u = empty_bits(n, m, dtype), empty(n, np.float64)
    Forward(n, m, dtype)(samples, weights, signs, bits, u)
    e, derivatives, loss = empty(TILE * tiles_of(n), dtype), empty(n, np.float64), empty(1, np.float64)
    loss_terms(KINDS["squared"], 0.0, u, labels, derivatives, e, loss, 0)
    gradient, scale = empty((m, d), dtype), upload(signs.copy_to_host() / np.sqrt(dtype.type(m)))
    for first, count, sums in MaskedSums(n, d, m, dtype).blocks(bits.view(np.uint32), samples, e):
        scaled_transpose(sums, scale[first : first + count], gradient[first : first + count])
    return give_back(gradient, library_of(X))
