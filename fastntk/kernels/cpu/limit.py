"""Limit kernels: ``(c_sin |x||z| sin(theta) + c_ang x.z (pi - theta)) / (2 pi)`` for all pairs of rows.

Layout: a task owns one tile of the result; a single-threaded float64 BLAS product puts the tile of x.z into a
    scratch block that stays in cache, where one vectorised pass turns it into kernel values. Without Z only
    tiles on and below the diagonal are computed, each written twice. `out` has the caller's precision,
    everything before is float64.
Angle: pi - theta = acos(-rho) by the half-angle form: for |rho| > 1/2 acos |rho| is 2 asin(sqrt((1 - |rho|) /
    2)), with the rational approximation of asin of Sun's fdlibm (error below 2^-58.75); no branch, so whole
    vectors.
Near pairs: a product of rounded rows carries 1 - |rho| to a few 1e-16 only, hence the angle to 1e-16 / theta.
    Pairs with 1 - |rho| < 1e-4 (0.8 degrees) are counted in that pass and, where there are any, recomputed
    from their unit rows: |u -+ v| has small relative error, and so has the angle. Error of any value about
    1e-14 |x||z|.
Cost: n^2 d (symmetric: half) multiply-adds of BLAS, the bound; then two square roots and one division per
    pair, 1.6 ns (one core with 512-bit vectors).
Rejected: one multi-threaded BLAS product of a block of rows, then the pass: its idle workers spin on the
    cores the pass needs, and the block has left the cache.
"""

import math

import numba
import numpy as np

from fastntk.jit import kernel

TILE = 200  # 320 KB of scratch per thread; not a power of two, so that columns spread over the cache sets
NEAR = 1e-4  # 1 - |rho| below which a pair is recomputed from its rows

_HALF_PI = math.pi / 2
_TURN = 1.0 / (2.0 * math.pi)


@kernel
def asin_tail(z):
    """(asin(s) - s) / s at z = s^2 <= 1/4."""
    p = 7.91534994289814532176e-04 + z * 3.47933107596021167570e-05
    p = 2.01212532134862925881e-01 + z * (-4.00555345006794114027e-02 + z * p)
    p = z * (1.66666666666666657415e-01 + z * (-3.25565818622400915405e-01 + z * p))
    q = 2.02094576023350569471 + z * (-6.88283971605453293030e-01 + z * 7.70381505559019352791e-02)
    q = 1.0 + z * (-2.40339491173441421878 + z * q)
    return p / q


@kernel
def angle_row(dots, norm, inverse, norms, inverses, c_sin, c_ang, values):
    """Kernel values of one row of x.z; returns how many of its pairs are nearly (anti)parallel."""
    near = 0
    c_sin, c_ang = c_sin * _TURN, c_ang * _TURN
    for j in range(dots.size):
        dot = dots[j]
        rho = dot * (inverse * inverses[j])
        size = abs(rho)
        rest = 1.0 - size
        rest = rest if rest > 0.0 else 0.0
        wide = size <= 0.5
        z = size * size if wide else 0.5 * rest
        root = math.sqrt(0.5 * rest)
        s = size if wide else root
        arc = s + s * asin_tail(z)
        arc = _HALF_PI - arc if wide else 2.0 * arc  # acos |rho|
        opposite = arc if rho < 0.0 else math.pi - arc  # pi - theta
        sine = math.sqrt(rest * (1.0 + size))
        values[j] = c_sin * (norm * norms[j]) * sine + c_ang * (dot * opposite)
        near += 1 if size > 1.0 - NEAR else 0
    return near


@kernel
def near_pair(x, z, norm_x, norm_z, same, negative, c_sin, c_ang):
    """The kernel value of a nearly parallel (or `negative`: antiparallel) pair, from the distance of the unit rows."""
    sign = 1.0 if negative else -1.0
    square = 0.0
    for k in range(x.size):
        difference = x[k] / norm_x + sign * (z[k] / norm_z)
        square += difference * difference
    half = 0.5 * math.sqrt(square)
    small = 2.0 * math.asin(half)
    scale = same if same > 0.0 else norm_x * norm_z
    cosine = 1.0 - 0.5 * square
    if negative:
        value = c_sin * math.sin(small) - c_ang * cosine * small
    else:
        value = c_sin * math.sin(small) + c_ang * cosine * (math.pi - small)
    return scale * value * _TURN + 0.0  # no negative zero


@kernel
def tile_values(
    tile, X, Z, i0, j0, square_x, square_z, norm_x, norm_z, inverse_x, inverse_z, c_sin, c_ang, diagonal, row
):
    """All values of one tile, in place of its dot products; `row` is scratch, the diagonal of a diagonal tile void."""
    rows, columns = tile.shape
    values, norms, inverses = row[:columns], norm_z[j0 : j0 + columns], inverse_z[j0 : j0 + columns]
    for i in range(rows):
        a = i0 + i
        near = angle_row(tile[i], norm_x[a], inverse_x[a], norms, inverses, c_sin, c_ang, values)
        if near > (1 if diagonal else 0):
            for j in range(columns):
                rho = tile[i, j] * (inverse_x[a] * inverses[j])
                if abs(rho) > 1.0 - NEAR and not (diagonal and i == j):
                    b = j0 + j
                    same = square_x[a] if square_x[a] == square_z[b] else 0.0  # duplicates: |x|^2 to the bit
                    values[j] = near_pair(X[a], Z[b], norm_x[a], norms[j], same, rho < 0.0, c_sin, c_ang)
        for j in range(columns):
            tile[i, j] = values[j]


@kernel(parallel=True)
def limit_cross(
    X, Z, square_x, square_z, norm_x, norm_z, inverse_x, inverse_z, c_sin, c_ang, scratch, rows, out
):
    """All pairs of rows of X (n, d) and Z (k, d); scratch (threads, TILE^2) and rows (threads, TILE)."""
    across = (Z.shape[0] + TILE - 1) // TILE
    down = (X.shape[0] + TILE - 1) // TILE
    for task in numba.prange(down * across):
        thread = numba.get_thread_id()
        i0, j0 = (task // across) * TILE, (task % across) * TILE
        i1, j1 = min(i0 + TILE, X.shape[0]), min(j0 + TILE, Z.shape[0])
        tile = scratch[thread, : (i1 - i0) * (j1 - j0)].reshape((i1 - i0, j1 - j0))
        np.dot(X[i0:i1], Z[j0:j1].T, tile)
        tile_values(
            tile, X, Z, i0, j0, square_x, square_z, norm_x, norm_z, inverse_x, inverse_z, c_sin, c_ang, False,
            rows[thread],
        )  # fmt: skip
        for i in range(i1 - i0):
            for j in range(j1 - j0):
                out[i0 + i, j0 + j] = tile[i, j]


@kernel(parallel=True)
def limit_symmetric(X, square, norm, inverse, c_sin, c_ang, down, across, scratch, rows, out):
    """All pairs of rows of X (n, d); tile t covers block row down[t] and block column across[t] <= down[t]."""
    for task in numba.prange(down.size):
        thread = numba.get_thread_id()
        i0, j0 = down[task] * TILE, across[task] * TILE
        i1, j1 = min(i0 + TILE, X.shape[0]), min(j0 + TILE, X.shape[0])
        height, width = i1 - i0, j1 - j0
        tile = scratch[thread, : height * width].reshape((height, width))
        np.dot(X[i0:i1], X[j0:j1].T, tile)
        diagonal = i0 == j0
        tile_values(
            tile,
            X,
            X,
            i0,
            j0,
            square,
            square,
            norm,
            norm,
            inverse,
            inverse,
            c_sin,
            c_ang,
            diagonal,
            rows[thread],
        )
        if diagonal:  # its lower half decides; theta = 0 is exact: only the (pi - theta) term is left
            for i in range(height):
                tile[i, i] = 0.5 * c_ang * square[i0 + i]
                for j in range(i):
                    tile[j, i] = tile[i, j]
        else:
            for first in range(0, width, 8):  # one cache line of every row at a time
                for j in range(first, min(first + 8, width)):
                    for i in range(height):
                        out[j0 + j, i0 + i] = tile[i, j]
        for i in range(height):
            for j in range(width):
                out[i0 + i, j0 + j] = tile[i, j]
