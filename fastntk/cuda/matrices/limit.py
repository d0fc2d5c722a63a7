"""Limits of Gram matrices of points on a GPU, as `fastntk.matrices.limit` says."""

import numpy as np

from fastntk.cuda.copies import compact
from fastntk.cuda.matrices.result import result
from fastntk.device.arrays import empty, upload, zeros
from fastntk.device.dispatch import DeviceArray
from fastntk.kernels.cpu.limit import NEAR, Points
from fastntk.kernels.cuda import limit
from fastntk.kernels.cuda.plans import Products


def limit_gram(
    points: Points, others: Points, layers: int, depth: int, dtype: np.dtype, out: DeviceArray | None
) -> DeviceArray:
    """See `fastntk.limit_gram`, of checked points; equal sets by halves, but for the product."""
    same = others is points
    H = result((len(points.rows), len(others.rows)), dtype, out, 0)
    left = _uploaded(points)
    right = left if same else _uploaded(others)
    Products().nt(left.rows, right.rows, H)
    limit.limit_tiles(left, right, same, layers, depth, dtype.type(NEAR[dtype.char]), H)
    return H


def _uploaded(points: Points) -> Points:
    """The same with its vectors, which the host has computed, on the GPU as well."""
    rows, exact, *vectors = points
    return Points(rows, exact, *map(upload, vectors))


def limit_profile(rho: DeviceArray, layers: int, depth: int, factor: float) -> DeviceArray | None:
    """See `fastntk.limit_profile`, of real numbers; None if one of them is not between -1 and 1."""
    cosines, profile = compact(rho, np.dtype(np.float64)), empty(tuple(rho.shape), np.float64)
    flat, flags = profile.reshape(rho.size), zeros(1, np.int32)
    limit.limit_profile(cosines.reshape(rho.size), layers, depth, factor, flat, flags)
    return None if flags.copy_to_host()[0] else profile
