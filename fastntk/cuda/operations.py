"""What the public functions do with arrays on a GPU: check, allocate there, launch, give arrays of that library back.

`fastntk.device_arrays.on_gpu` calls these; names and arguments are those of the public functions.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

import fastntk.checks
from fastntk.cuda import checks
from fastntk.cuda.forward import Forward, product_bytes
from fastntk.cuda.rows import RowsThere, in_precision, measure
from fastntk.device_arrays import (
    empty,
    give_back,
    library_of,
    require_memory,
    upload,
    view,
    zeros,
)
from fastntk.device_masks import DevicePackedMasks
from fastntk.kernels.cpu.limit import NEAR, Points
from fastntk.kernels.cuda import flips, limit
from fastntk.kernels.cuda.coactivation import gram_from_counts
from fastntk.kernels.cuda.conversion import copy, mirror, unpack
from fastntk.kernels.cuda.flip_marginals import flip_marginals as flip_marginals_there
from fastntk.kernels.cuda.gram_sums import (
    PART,
    add_sums,
    add_to_gram,
    gram_from_sums,
    positive,
    weigh,
)
from fastntk.kernels.cuda.losses import KINDS, loss_terms
from fastntk.kernels.cuda.plans import Counting, MaskedSums, Products
from fastntk.kernels.cuda.transposed import scaled_transpose
from fastntk.limit import lengths_for, options_of
from fastntk.packing import TILE, byte_rows, padded_width, tiles_of
from fastntk.rows import Lengths, warn_parallel_rows


def _network(X: Any, W: Any, a: Any = None) -> tuple[Any, Any, Any]:
    """Checked samples and weights, all in the precision of W."""
    weights = checks.matrix(W, "W")
    samples = checks.matrix(X, "X", weights.dtype)
    fastntk.checks.same_columns(samples, "X", weights, "W")
    signs = None if a is None else checks.vector(a, "a", len(weights), "W", weights.dtype)
    return samples, weights, signs


def _empty_bits(n: int, m: int, dtype: np.dtype) -> Any:
    """Bits of a pattern, after a look at the memory it takes beside the pre-activations."""
    size = byte_rows(n) * padded_width(m)
    require_memory(
        size + product_bytes(n, m, dtype), f"the activation pattern of n={n} samples and m={m} neurons"
    )
    return empty((byte_rows(n), padded_width(m)), np.uint8)


def activation_masks(X: Any, W: Any) -> DevicePackedMasks:
    """See `fastntk.activation_masks`."""
    samples, weights, _ = _network(X, W)
    n, m = len(samples), len(weights)
    bits = _empty_bits(n, m, weights.dtype)
    Forward(n, m, weights.dtype).masks(samples, weights, bits)
    return DevicePackedMasks(bits, (n, m), library_of(X))


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
    Forward(n, m, weights.dtype)(samples, weights, signs, _empty_bits(n, m, weights.dtype), u)
    return give_back(u, library_of(X))


def loss_gradient(X: Any, y: Any, W: Any, a: Any) -> Any:
    """See `fastntk.loss_gradient`."""
    samples, weights, signs = _network(X, W, a)
    (n, d), m, dtype = samples.shape, len(weights), weights.dtype
    labels = checks.vector(y, "y", n, "X", np.float64)
    bits, u = _empty_bits(n, m, dtype), empty(n, np.float64)
    Forward(n, m, dtype)(samples, weights, signs, bits, u)
    e, derivatives, loss = empty(TILE * tiles_of(n), dtype), empty(n, np.float64), empty(1, np.float64)
    loss_terms(KINDS["squared"], 0.0, u, labels, derivatives, e, loss, 0)
    gradient, scale = empty((m, d), dtype), upload(signs.copy_to_host() / np.sqrt(dtype.type(m)))
    for first, count, sums in MaskedSums(n, d, m, dtype).blocks(bits.view(np.uint32), samples, e):
        scaled_transpose(sums, scale[first : first + count], gradient[first : first + count])
    return give_back(gradient, library_of(X))


def to_dense(masks: DevicePackedMasks) -> Any:
    """See `DevicePackedMasks.to_dense`."""
    dense = empty(masks.shape, np.bool_)
    unpack(masks.bits, dense)
    return give_back(dense, masks.library)


def _counts(masks: DevicePackedMasks) -> Any:
    (n, _), width = masks.shape, masks.bits.shape[1]
    require_memory(8 * n * n + Counting.bytes_needed(n, width), f"the counts of n={n} samples")
    counts = empty((n, n), np.int64)
    Counting(n, width).counts(masks.bits.view(np.uint32), counts)
    return counts


def coactivation_counts(masks: DevicePackedMasks) -> Any:
    """See `fastntk.coactivation_counts`."""
    return give_back(_counts(masks), masks.library)


def flip_count(masks_a: DevicePackedMasks, masks_b: DevicePackedMasks) -> int:
    """See `fastntk.flip_count`."""
    count = zeros(1, np.int64)
    flips.flip_count(masks_a.bits.view(np.uint32), masks_b.bits.view(np.uint32), count, 0)
    return int(count.copy_to_host()[0])


def flip_marginals(masks_a: DevicePackedMasks, masks_b: DevicePackedMasks) -> tuple[Any, Any]:
    """See `fastntk.flip_marginals`."""
    n, m = masks_a.shape
    samples, neurons = zeros(TILE * tiles_of(n), np.int64), empty(m, np.int64)
    flip_marginals_there(masks_a.bits, masks_b.bits, samples, neurons)
    return give_back(samples[:n], masks_a.library), give_back(neurons, masks_a.library)


def gram(
    X: Any, W: Any = None, a: Any = None, *, masks: Any = None, first: bool = True, second: bool = False
) -> Any:
    """See `fastntk.gram`, of the first layer, the second or both."""
    points = checks.matrix(X, "X")
    n = len(points)
    warn_parallel_rows(RowsThere(points), "X", measure(points, "X"), opposite=False, stacklevel=5)
    samples, weights = (points, None) if W is None else _network(X, W)[:2]
    if masks is not None and masks.shape[0] != n:
        raise ValueError(f"masks must have one row for each row of X ({n}), got {masks.shape[0]}")
    m = masks.shape[1] if weights is None else len(weights)
    of = "W" if masks is None else "masks"
    signs = np.ones(1) if a is None else checks.vector(a, "a", m, of, np.float64).copy_to_host()
    H = zeros((n, n), np.float64)
    if first:
        masks = activation_masks(X, W) if masks is None else masks
        squares = np.square(signs)
        if (squares == squares[0]).all():
            gram_from_counts(sample_products(points, float(squares[0])), _counts(masks), float(m), H)
        else:
            gram_from_sums(sample_products(points), _weighted_sums(masks, np.abs(signs)), float(m), H)
    if second:
        add_to_gram(_positive_sums(samples, weights), float(m), H)
    return give_back(H, library_of(X))


def _positive_sums(X: Any, W: Any) -> Any:
    """``sum_r relu(w_r . x_i) relu(w_r . x_j)`` in float64."""
    n, m, dtype = len(X), len(W), W.dtype
    require_memory(n * (n * (8 + dtype.itemsize) + PART * dtype.itemsize), f"the sums of n={n} samples")
    S, part, Z = zeros((n, n), np.float64), empty((n, n), dtype), empty((n, PART), dtype)
    products = Products()
    for first in range(0, m, PART):
        count = min(PART, m - first)
        products.nt(X, W[first : first + count], Z)
        positive(Z, count)
        products.nt(Z, Z, part)
        add_sums(part, S)
    return S


def _weighted_sums(masks: DevicePackedMasks, weights: np.ndarray) -> Any:
    """``sum_r weights_r^2 M_ir M_jr`` in float64."""
    n, m = masks.shape
    require_memory(8 * n * (2 * n + PART), f"the sums of n={n} samples")
    S, part, A = zeros((n, n), np.float64), empty((n, n), np.float64), empty((n, PART), np.float64)
    products, there = Products(), upload(weights)
    for first in range(0, m, PART):
        weigh(masks.bits, first, min(PART, m - first), there, A)
        products.nt(A, A, part)
        add_sums(part, S)
    return S


def sample_products(points: Any, scale: float = 1.0) -> Any:
    """``scale X X^T`` in float64, exactly symmetric."""
    n, rows = len(points), in_precision(points, np.dtype(np.float64))
    require_memory(16 * n * n, f"the Gram matrix of n={n} samples")
    products = empty((n, n), np.float64)
    Products().nt(rows, rows, products)
    mirror(products, scale)
    return products


def limit_gram(
    X: Any, Z: Any = None, layers: str = "first", depth: int = 1, scale: float = 1.0,
    dtype: npt.DTypeLike = "float64",
) -> Any:  # fmt: skip
    """See `fastntk.limit_gram`."""
    options, kind = options_of(layers, depth, scale), fastntk.checks.floating_dtype(dtype)
    samples = checks.matrix(X, "X")
    found = measure(samples, "X")
    points = columns = _points(samples, found, "X", kind, options)
    if Z is None:
        warn_parallel_rows(RowsThere(samples), "X", found, opposite=depth == 1, stacklevel=5)
    else:
        others = checks.matrix(Z, "Z")
        fastntk.checks.same_columns(samples, "X", others, "Z")
        columns = _points(others, measure(others, "Z"), "Z", kind, options)
    n, k = len(samples), len(columns.exact)
    require_memory(n * k * kind.itemsize, f"the limit for n={n} and k={k} samples")
    H = empty((n, k), kind)
    Products().nt(points.rows, columns.rows, H)
    limit.limit_tiles(points, columns, Z is None, *options[:2], kind.type(NEAR[kind.char]), H)
    return give_back(H, library_of(X))


def _points(
    samples: Any, found: Lengths, name: str, kind: np.dtype, options: tuple[int, int, float]
) -> Points:
    """Points on the device; rows so long or short that they must be scaled are scaled on the host."""
    exponents, *vectors = lengths_for(found, name, kind, *options)
    if exponents is None:
        rows = in_precision(samples, kind)
    else:
        rows = upload(
            np.ldexp(samples.copy_to_host().astype(np.float64), -exponents[:, np.newaxis]).astype(kind)
        )
    return Points(rows, samples, *map(upload, vectors))
