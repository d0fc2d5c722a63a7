"""What the dual engine needs beside its steps for Runge-Kutta steps, and the norms of a change from its coefficients.

Layout: as forward; K0 is the change of the pre-activations of the state that was kept, C the coefficients of the
    samples in the weights' change. A block owns 128 neurons and 16 samples (the mean) or a range of samples (norms).
Cost: bound by memory. The mean reads Z0, D and K0 and writes D (16 n m bytes in float32), the norms read D and C
    (8 n m), at the steps that are logged.
Accumulation: u as in forward; norms in float64 over a range, ranges added in order. ``|X^T c|^2 = c . K c`` is exact up
    to the rounding of its largest terms, which may be far above it where K is nearly singular.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.dual_step import _AHEAD
from fastntk.kernels.cuda.forward import _PARTS_PITCH, _PITCH, NEURONS, share_outputs


@kernel
def dual_mean_kernel(n, m, share, rest, a, Z0, K0, D, bits, u_shares):
    """See `dual_mean`."""
    products = cuda.shared.array((16, _PITCH), D.dtype)
    sums = cuda.shared.array((16, _PARTS_PITCH), np.float64)
    before = cuda.local.array(_AHEAD, D.dtype)
    changes = cuda.local.array(_AHEAD, D.dtype)
    starts = cuda.local.array(_AHEAD, D.dtype)
    zero, kept, moved = D.dtype.type(0), D.dtype.type(share), D.dtype.type(rest)
    thread, tile = np.uint64(cuda.threadIdx.x), cuda.blockIdx.y  # unsigned indices: see dual_step
    own = np.uint64(cuda.blockIdx.x * NEURONS) + thread
    inside = own < np.uint64(m)
    r = min(own, np.uint64(m - 1))  # beyond the last neuron it is read, and nothing written
    last = np.uint64(n - 1)
    sign = a[r]
    octets = np.uint32(0)
    for j in range(0, 16, _AHEAD):
        for q in range(_AHEAD):
            i = min(np.uint64(16 * tile + j + q), last)
            before[q], changes[q], starts[q] = K0[i, r], D[i, r], Z0[i, r]
        for q in range(_AHEAD):
            i = np.uint64(16 * tile + j + q)
            active = zero
            if i <= last:
                after = kept * before[q] + moved * changes[q]
                if inside:
                    D[i, r] = after
                z = starts[q] + after
                if z >= zero:
                    octets |= np.uint32(1 << (j + q))
                active = zero if z < zero else z
            products[np.uint64(j + q), thread] = sign * active if inside else zero
    if inside:
        bits[2 * tile, r] = np.uint8(octets & np.uint32(255))
        bits[2 * tile + 1, r] = np.uint8(octets >> np.uint32(8))
    share_outputs(products, sums, tile, cuda.blockIdx.x, u_shares)


def dual_mean(n, m, share, a, Z0, K0, D, bits, u_shares, stream=0):
    """``D = share K0 + (1 - share) D``, its signs (bits zero beyond m from the start), and the u_shares of forward."""
    grid = -(-m // NEURONS), bits.shape[0] // 2
    dual_mean_kernel[grid, NEURONS, stream](n, m, share, 1.0 - share, a, Z0, K0, D, bits, u_shares)


@kernel
def change_norms_kernel(n, m, C, D, shares):
    """See `change_norms`."""
    coefficients = cuda.local.array(_AHEAD, D.dtype)
    changes = cuda.local.array(_AHEAD, D.dtype)
    r = np.uint64(cuda.blockIdx.x * NEURONS + cuda.threadIdx.x)
    if r < np.uint64(m):
        part, ranges = cuda.blockIdx.y, cuda.gridDim.y
        begin, end = part * n // ranges, (part + 1) * n // ranges
        total = 0.0
        for start in range(begin, end, _AHEAD):
            for q in range(_AHEAD):
                i = np.uint64(min(start + q, end - 1))
                coefficients[q], changes[q] = C[i, r], D[i, r]
            for q in range(_AHEAD):
                if start + q < end:
                    total += np.float64(coefficients[q]) * np.float64(changes[q])
        shares[part, r] = total


def change_norms(n, m, C, D, shares, stream=0):
    """shares (ranges, m or more): of ``sum_i C_ir D_ir = |w_r - w_r(0)|^2``, the samples of one range each."""
    grid = -(-m // NEURONS), shares.shape[0]
    change_norms_kernel[grid, NEURONS, stream](n, m, C, D, shares)
