"""One step with momentum on the pre-activations: ``V <- beta V + G``, ``D <- D + b V + c G``, ``G = scale * S``.

Layout: as dual_step, with the velocity V (n, m or more) beside D; beta, b, c as in the CPU's dual_momentum. A block
    owns 128 neurons and 16 samples, a thread one neuron: no sum runs over the samples.
Cost: S, Z0, D and V read, D and V written, 24 n m bytes in float32, bound by memory: half as much again as dual_step,
    2.7 ms at n = 4096, m = 131072 (by arithmetic for an H200), beside 13 ms at least for S.
Accumulation: u as in forward.
Rejected: the inner products from which the CPU follows the drift at every step. Where coefficients of the samples are
    kept one by one (`dual_second`), it is one pass over them and D at the steps that log it.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.dual_step import _AHEAD
from fastntk.kernels.cuda.forward import _PARTS_PITCH, _PITCH, NEURONS, share_outputs


@kernel
def dual_momentum_kernel(n, m, first, count, new_bits, S, scale, a, beta, b, c, Z0, D, V, u_shares):
    """See `dual_momentum`."""
    products = cuda.shared.array((16, _PITCH), D.dtype)
    sums = cuda.shared.array((16, _PARTS_PITCH), np.float64)
    changes = cuda.local.array(_AHEAD, D.dtype)
    velocities = cuda.local.array(_AHEAD, D.dtype)
    gains = cuda.local.array(_AHEAD, D.dtype)
    starts = cuda.local.array(_AHEAD, D.dtype)
    zero = D.dtype.type(0)
    damping, ahead, direct = D.dtype.type(beta), D.dtype.type(b), D.dtype.type(c)
    thread, tile = np.uint64(cuda.threadIdx.x), cuda.blockIdx.y  # unsigned indices: see dual_step
    own = np.uint64(cuda.blockIdx.x * NEURONS) + thread
    inside = own < np.uint64(count)
    k = min(own, np.uint64(count - 1))  # beyond the last neuron it is read, and nothing written
    r = np.uint64(first) + k
    last = np.uint64(n - 1)
    step, sign = scale[r], a[r]
    octets = np.uint32(0)
    for j in range(0, 16, _AHEAD):
        for q in range(_AHEAD):
            i = min(np.uint64(16 * tile + j + q), last)
            changes[q], velocities[q], gains[q], starts[q] = D[i, r], V[i, r], S[i, k], Z0[i, r]
        for q in range(_AHEAD):
            i = np.uint64(16 * tile + j + q)
            active = zero
            if i <= last:
                gradient = step * gains[q]
                moving = damping * velocities[q] + gradient
                after = changes[q] + ahead * moving + direct * gradient
                if inside:
                    V[i, r] = moving
                    D[i, r] = after
                z = starts[q] + after
                if z >= zero:
                    octets |= np.uint32(1 << (j + q))
                active = zero if z < zero else z
            products[np.uint64(j + q), thread] = sign * active if inside else zero
    if inside:
        new_bits[2 * tile, r] = np.uint8(octets & np.uint32(255))
        new_bits[2 * tile + 1, r] = np.uint8(octets >> np.uint32(8))
    share_outputs(products, sums, tile, first // NEURONS + cuda.blockIdx.x, u_shares)


def dual_momentum(n, m, first, count, new_bits, S, scale, a, coefficients, Z0, D, V, u_shares, stream=0):
    """Move the neurons first ... first + count - 1, first a multiple of 128, by the sums S (n, count) of masked_sums.

    D and V move in place. new_bits (zero beyond m from the start) and u_shares (ceil(m / 128), 16 tiles) are
    overwritten for these neurons; scale, a (m or more,); coefficients (beta, b, c).
    """
    grid = -(-count // NEURONS), new_bits.shape[0] // 2
    dual_momentum_kernel[grid, NEURONS, stream](
        n, m, first, count, new_bits, S, scale, a, *coefficients, Z0, D, V, u_shares
    )
