"""Limit kernels of all pairs of rows: ``|x||z|`` times a function of their angle, through any number of layers.

Layout: out (n, k) holds the products x.z when the kernel starts (one call of `vendor` or `products`) and their limit
    kernel when it ends. A block owns 32 x 32 pairs, a thread four of them. If symmetric only blocks on or below the
    diagonal are computed, and written to their mirror image as well through shared memory, so that all writes are
    whole lines; the diagonal is exact.
Recursion, near pairs, accuracy: as in the CPU's `limit`. A thread with a near pair (t < NEAR) reads the two rows on
    its own, uncoalesced, while its warp waits: 2 d loads for pairs closer than 3 degrees, of which data have few.
Profile: the same function of cosines that are given; a thread owns an entry, 16 bytes each.
Cost: n k d multiply-adds of the product, twice what the symmetric half needs; a layer is one square root and 13
    (float64: 35) multiply-adds a pair. Bound: the product; for d below 100 memory, 12 n k bytes in float32.
Machine: on an H100 at n = 8192, d = 1024 in float32 this kernel takes 0.41 ms, the product 2.76, and torch with the
    formula 3.7 in all.
"""

import math

import numpy as np

from fastntk.compilation.jit_cuda import cuda, device_function, kernel
from fastntk.kernels.cpu.limit import FIRST, SECOND
from fastntk.kernels.cuda.angles import angle_series, moment_series

_SIDE, _HEIGHT = 32, 8
_PITCH = _SIDE + 1
_THREADS = 128


@device_function
def exact_t(X, Z, i, j, length_x, length_z, negative):
    """t of a nearly parallel (or `negative`: antiparallel) pair from the distance of the unit rows."""
    inverse_x = 1.0 / length_x
    inverse_z = (1.0 if negative else -1.0) / length_z
    square = 0.0
    for c in range(X.shape[1]):
        difference = np.float64(X[i, c]) * inverse_x + np.float64(Z[j, c]) * inverse_z
        square += difference * difference
    return 0.5 * square


def _through_layers(dtype):
    one, zero = dtype(1), dtype(0)
    angle_of, moment_of = angle_series[dtype], moment_series[dtype]

    @device_function
    def through_layers(cosine, t, layers, depth):
        """The kernel of two unit vectors from their cosine and ``t = 1 - |cosine|``."""
        root = math.sqrt(t)
        angle = root * angle_of(t)
        first = cosine * (one - angle if cosine >= zero else angle)
        if layers == FIRST:
            return first
        moment = t * root * moment_of(t)
        t = (t if cosine >= zero else one) - moment
        covariance = (cosine if cosine > zero else zero) + moment
        tangent = covariance + first
        for _layer in range(1, depth):
            root = math.sqrt(t)
            kappa = one - root * angle_of(t)
            t = t - t * root * moment_of(t)
            covariance = one - t
            tangent = covariance + tangent * kappa
        return covariance if layers == SECOND else tangent

    return through_layers


through_layers_float32 = _through_layers(np.float32)
through_layers_float64 = _through_layers(np.float64)


def _limit_kernel(dtype, through_layers):
    one, zero = dtype(1), dtype(0)

    @kernel
    def limit_kernel(
        out, X, Z, inverse_x, inverse_z, length_x, length_z, square_x, square_z, size_x, size_z,
        symmetric, layers, depth, near,
    ):  # fmt: skip
        """See `limit_tiles`."""
        tile = cuda.shared.array((_SIDE, _PITCH), dtype)
        if symmetric and cuda.blockIdx.y < cuda.blockIdx.x:
            return
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        top, left = cuda.blockIdx.y * _SIDE, cuda.blockIdx.x * _SIDE
        n, k = out.shape
        for row in range(y, _SIDE, _HEIGHT):
            i, j = top + row, left + x
            if i < n and j < k and (j <= i or not symmetric):
                cosine = out[i, j] * (inverse_x[i] * inverse_z[j])
                t = one - abs(cosine)
                t = t if t > zero else zero
                if symmetric and i == j:
                    cosine, t = one, zero
                elif t < near:
                    negative = cosine < zero
                    t = dtype(exact_t(X, Z, i, j, length_x[i], length_z[j], negative))
                    cosine = t - one if negative else one - t
                value = through_layers(cosine, t, layers, depth)
                # Points of equal length take |x|^2, so that copies of a point get its diagonal to the bit.
                product = square_x[i] if square_x[i] == square_z[j] else size_x[i] * size_z[j]
                value = value * product + zero  # no negative zero
                out[i, j] = value
                tile[row, x] = value
        if symmetric:
            cuda.syncthreads()
            for row in range(y, _SIDE, _HEIGHT):
                i, j = left + row, top + x  # of the mirror image
                if j < n and i < j:
                    out[i, j] = tile[x, row]

    return limit_kernel


limit_float32_kernel = _limit_kernel(np.float32, through_layers_float32)
limit_float64_kernel = _limit_kernel(np.float64, through_layers_float64)


def limit_tiles(x, z, symmetric, layers, depth, near, out, stream=0):
    """out (n, k), products of x.rows and z.rows, becomes their limit kernel; x and z are `limit.Points` on the device.

    symmetric: x is z. layers: FIRST, SECOND or BOTH of the CPU's `limit`; near: its NEAR for out's precision, which is
    that of all parts of the points but `exact` (any precision) and `length` (float64).
    """
    launched = limit_float32_kernel if np.dtype(out.dtype).itemsize == 4 else limit_float64_kernel
    grid = -(-out.shape[1] // _SIDE), -(-out.shape[0] // _SIDE)
    launched[grid, (_SIDE, _HEIGHT), stream](
        out, x.exact, z.exact, x.inverse, z.inverse, x.length, z.length, x.square, z.square, x.size, z.size,
        symmetric, layers, depth, near,
    )  # fmt: skip


@kernel
def limit_profile_kernel(rho, layers, depth, factor, out, flags):
    """See `limit_profile`."""
    i = cuda.grid(1)
    if i < out.shape[0]:
        cosine = rho[i]
        t = 1.0 - abs(cosine)
        if t >= 0.0:
            out[i] = factor * through_layers_float64(cosine, t, layers, depth) + 0.0  # no negative zero
        else:
            flags[0] = 1


def limit_profile(rho, layers, depth, factor, out, flags, stream=0):
    """out (size,) = factor times the kernel of unit vectors with the cosines rho, both float64.

    flags[0] becomes 1 if an entry is not between -1 and 1; NaN is not.
    """
    limit_profile_kernel[-(-out.shape[0] // _THREADS), _THREADS, stream](
        rho, layers, depth, factor, out, flags
    )
