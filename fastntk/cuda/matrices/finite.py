"""Gram matrices at finite width of points on a GPU: ``sum_r`` of `fastntk.matrices.blocks`, over pieces of neurons."""

import numpy as np

from fastntk.base.packing import byte_rows
from fastntk.cuda.copies import in_precision
from fastntk.cuda.forward import product_bytes
from fastntk.cuda.matrices.passes import PART, Sums, piece_of, sum_over_masks, sum_over_neurons
from fastntk.cuda.matrices.result import result
from fastntk.device.arrays import empty
from fastntk.device.dispatch import DeviceArray, DevicePattern
from fastntk.device.driver import require_memory
from fastntk.kernels.cuda.conversion import mirror
from fastntk.kernels.cuda.gram_sums import gram_entries
from fastntk.kernels.cuda.plans import Products
from fastntk.matrices.passes import Terms

_FLOAT64 = np.dtype(np.float64)
Network = DeviceArray | tuple[DevicePattern, DevicePattern]


def gram(
    points: DeviceArray,
    others: DeviceArray,
    network: Network,
    terms: Terms,
    dtype: np.dtype,
    out: DeviceArray | None,
) -> DeviceArray:
    """See `fastntk.gram`, of checked arrays."""
    same = _symmetric(points, others, network)
    H = result((len(points), len(others)), dtype, out, scratch_bytes(points, others, network, terms))
    if isinstance(network, tuple):
        left, right = network
        m = left.shape[1]
        sums = sum_over_masks(left, left if same else right, terms)
    else:
        m = len(network)
        sums = sum_over_neurons(network, points, points if same else others, terms)
    K = None
    if terms.first:
        rows = in_precision(points, _FLOAT64)
        K = empty(tuple(H.shape), np.float64)
        Products().nt(rows, rows if same else in_precision(others, _FLOAT64), K)
    gram_entries(K, sums.first, sums.second, same, terms.scale, float(m), H)
    return H


def scratch_bytes(points: DeviceArray, others: DeviceArray, network: Network, terms: Terms) -> int:
    """Device memory beside the result: samples and their products, sums, one piece of the neurons."""
    (n, d), k, same = points.shape, len(others), _symmetric(points, others, network)
    samples, itemsize = n if same else n + k, 8
    needed = 8 * n * k * terms.first + 8 * samples * d
    if isinstance(network, tuple):
        m = network[0].shape[1]
        room = piece_of(samples, m)
    else:
        m, itemsize = len(network), network.dtype.itemsize
        room = piece_of(samples, m)
        needed += (
            byte_rows(samples) * room + samples * d * itemsize + product_bytes(samples, room, network.dtype)
        )
        needed += terms.second * samples * PART * itemsize
    if terms.weights is not None:
        needed += 8 * m
    return needed + Sums.bytes_needed(n, None if same else k, terms, room, itemsize)


def _symmetric(points: DeviceArray, others: DeviceArray, network: Network) -> bool:
    return others is points and (not isinstance(network, tuple) or network[0] is network[1])


def sample_products(points: DeviceArray, scale: float = 1.0) -> DeviceArray:
    """``scale X X^T`` in float64, exactly symmetric."""
    n, rows = len(points), in_precision(points, _FLOAT64)
    require_memory(16 * n * n, f"the Gram matrix of n={n} samples")
    products = empty((n, n), np.float64)
    Products().nt(rows, rows, products)
    mirror(products, scale)
    return products
