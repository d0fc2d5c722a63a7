"""One step of gradient descent on the pre-activations, ``D += scale * S`` with ``S = M^T diag(e) K``, ``Z = Z0 + D``.

Layout: Z0 and D (n, m or more), S (n, count or more) of one range of neurons, all with neurons contiguous; mask bytes
    ``[8 samples][neuron]``. A block owns 128 neurons and a range of samples, a thread one neuron. D is kept apart from
    Z0 because it is small: rounding is relative to the change, not to the pre-activation.
Per sixteen samples, in one pass: D, the new signs, the share of ``u = sum_r a_r relu(z_r)`` and of the squared drift,
    ``|D w'|^2 - |D w|^2 = sum_i s_i (D_i + D'_i)`` with ``s_i = scale e_i M_i`` (the step in the span of the data).
Cost: S, Z0 and D read, D written, 16 n m bytes in float32, bound by memory: n = 4096, m = 131072 moves 8.6 GB, 1.8 ms
    at 4.8 TB/s (by arithmetic), beside 13 ms at least for S. The code for sm_90 has 73 instructions an entry (117
    with signed indices): 1.3 ms if every cycle issues one. Fusing this pass into the product would save the 4 n m
    bytes of S, which mostly stay in the second-level cache anyway, and tie the step to one of the ways to get S.
Machine: on an H100 that whole step takes 22.3 ms, in 16 ranges of 8192 neurons: the three bf16 products of S 18.2 (720
    Tflop/s), this pass 3.5. In 64 ranges, whose S stays in the second-level cache, 46.9: the host launches too slowly.
Accumulation: u as in forward; the drift in working precision over 16 samples, then float64 over a range; ranges are
    added in order.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.forward import _PARTS_PITCH, _PITCH, NEURONS, share_outputs

_AHEAD = 8  # samples whose operands are on their way at once: a store between loads would make them wait


@kernel
def dual_step_kernel(
    n, m, first, count, bits, new_bits, S, e, scale, a, Z0, D, u_shares, drift_shares
):  # fmt: skip
    """See `dual_step`."""
    products = cuda.shared.array((16, _PITCH), D.dtype)
    sums = cuda.shared.array((16, _PARTS_PITCH), np.float64)
    changes = cuda.local.array(_AHEAD, D.dtype)
    gains = cuda.local.array(_AHEAD, D.dtype)
    starts = cuda.local.array(_AHEAD, D.dtype)
    zero = D.dtype.type(0)
    thread = np.uint64(cuda.threadIdx.x)  # unsigned indices: no test for negative ones
    own = np.uint64(cuda.blockIdx.x * NEURONS) + thread
    inside = own < np.uint64(count)
    k = min(own, np.uint64(count - 1))  # beyond the last neuron it is read, and nothing written
    r = np.uint64(first) + k
    step, sign = scale[r], a[r]
    last = np.uint64(n - 1)
    tiles = bits.shape[0] // 2
    part, ranges = cuda.blockIdx.y, cuda.gridDim.y
    drift = 0.0
    for tile in range(part * tiles // ranges, (part + 1) * tiles // ranges):
        old = np.uint32(bits[2 * tile, r]) | (np.uint32(bits[2 * tile + 1, r]) << np.uint32(8))
        octets = np.uint32(0)
        moved = zero
        for j in range(0, 16, _AHEAD):
            for q in range(_AHEAD):
                i = min(np.uint64(16 * tile + j + q), last)
                changes[q], gains[q], starts[q] = D[i, r], S[i, k], Z0[i, r]
            for q in range(_AHEAD):
                i = np.uint64(16 * tile + j + q)
                active = zero
                if i <= last:
                    after = changes[q] + step * gains[q]
                    if inside:
                        D[i, r] = after
                    z = starts[q] + after
                    if z >= zero:
                        octets |= np.uint32(1 << (j + q))
                    if (old >> np.uint32(j + q)) & np.uint32(1):
                        moved += e[i] * (changes[q] + after)
                    active = zero if z < zero else z
                products[np.uint64(j + q), thread] = sign * active if inside else zero
        drift += np.float64(moved)
        if inside:
            new_bits[2 * tile, r] = np.uint8(octets & np.uint32(255))
            new_bits[2 * tile + 1, r] = np.uint8(octets >> np.uint32(8))
        share_outputs(products, sums, tile, first // NEURONS + cuda.blockIdx.x, u_shares)
    if inside:
        drift_shares[part, r] = np.float64(step) * drift


def dual_step(
    n, m, first, count, bits, new_bits, S, e, scale, a, Z0, D, u_shares, drift_shares, stream=0
):  # fmt: skip
    """Move the neurons first ... first + count - 1, first a multiple of 128, by the sums S (n, count) of masked_sums.

    D moves in place. new_bits (zero beyond m from the start), u_shares (ceil(m / 128), 16 tiles) and drift_shares
    (ranges, width) are overwritten for these neurons; e (16 tiles,) is zero on padding samples; scale, a (m or more,).
    """
    grid = -(-count // NEURONS), drift_shares.shape[0]
    dual_step_kernel[grid, NEURONS, stream](
        n, m, first, count, bits, new_bits, S, e, scale, a, Z0, D, u_shares, drift_shares
    )


@kernel
def sample_coefficients_kernel(n, m, bits, total_residual, offsets, out):
    """See `sample_coefficients`."""
    r = cuda.blockIdx.y * NEURONS + cuda.threadIdx.x
    i = cuda.blockIdx.x
    if r < m:
        value = offsets[i, r]
        if (np.uint32(bits[i // 8, r]) >> np.uint32(i % 8)) & np.uint32(1):
            value += out.dtype.type(total_residual[i])
        out[i, r] = value


def sample_coefficients(n, m, bits, total_residual, offsets, out, stream=0):
    """out (n, m or more) = coefficients of the samples in the weights' change, ``M S + O`` (see flips.record_flips).

    ``X^T out``, times the neuron's scale, is the change of the transposed weights. out may be offsets.
    """
    sample_coefficients_kernel[(n, -(-m // NEURONS)), NEURONS, stream](
        n, m, bits, total_residual, offsets, out
    )
