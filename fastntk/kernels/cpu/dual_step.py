"""One step of gradient descent on the pre-activations, in the span of the data.

Formula: ``D += scale * (M^T diag(e) K)^T``, ``Z = Z0 + D``, and per tile, while its sums are in cache, the new signs,
    the share of ``u = sum_r a_r relu(z_r)`` and of the squared drift, ``|D w'|^2 - |D w|^2 = sum_i s_i (D_i + D'_i)``
    with ``s_i = scale e_i M_i``.
Layout: Z0 and D ``[tile of 16 samples][neuron][16]``, the old signs as words over samples, the new ones as mask bytes
    ``[8 samples][neuron]``, K = X X^T in column tiles. D is kept apart from Z0 because it is small: rounding is
    relative to the change, not to the pre-activation.
Owner: a task has a range of tiles and a block of neurons.
Cost: the rows of n^2 m masked sums and one pass over memory: D read and written, Z0 read, 12 n m bytes in float32.
Bound: as masked_sums; the pass over memory takes an eighth of its time on a Zen 5.
Machine: any.
Accumulation: u in working precision over 64 neurons, then float64; the drift in float64 over tiles; both are
    combined over fixed ranges in a fixed order, so results do not depend on the number of threads.
Rejected: prefetching what the pass over memory reads (no change).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.forward import lane_mask, put_lanes
from fastntk.kernels.cpu.lane_bits import active_bits, keep
from fastntk.kernels.cpu.lanes import broadcast, load, relu, store, total, zeros
from fastntk.kernels.cpu.masked_sums import tile_sums

SUB_BLOCK = 64  # neurons summed in working precision before their share of u goes to float64


@kernel
def move_tile(n, tile, first, count, words, new_bits, e, scale, a, Z0, D, S, u_share, drift_share, momentum):
    """Apply the sums S to one tile and a block of neurons, and reduce what the metrics need.

    momentum is None, or (coefficients, V, step_share) as in dual_momentum; the branches are chosen when compiling.
    """
    width = words.shape[1]
    lanes = lane_mask(n, tile)
    residual = load(e, 16 * tile)
    old_words, shift = words[tile // 4], np.uint64(16 * (tile % 4))
    new_low, new_high = new_bits[2 * tile], new_bits[2 * tile + 1]
    for start in range(0, count, SUB_BLOCK):
        u = zeros(S)
        for k in range(start, min(start + SUB_BLOCK, count)):
            r = first + k
            at = np.uint64(r)  # unsigned: no test for a negative index
            offset = (tile * width + r) * 16
            old = keep(np.uint16(old_words[at] >> shift), residual)
            before, step = load(D, offset), broadcast(scale, r) * load(S, k * 16)
            if momentum is None:
                after = before + step
                drift_share[at] += np.float64(scale[at]) * np.float64(total(old * (before + after)))
            else:
                coefficients, V, step_share = momentum
                velocity = load(V, offset)
                damped = broadcast(coefficients, 0) * velocity
                moving = damped + step
                store(V, offset, moving)
                after = before + broadcast(coefficients, 1) * moving + broadcast(coefficients, 2) * step
                base = before + broadcast(coefficients, 3) * velocity
                drift_share[at] += np.float64(scale[at]) * np.float64(total(old * base))
                step_share[at] += np.float64(scale[at]) * np.float64(total(old * (damped + moving)))
            store(D, offset, after)
            z = load(Z0, offset) + after
            u = u + broadcast(a, r) * relu(z)
            put_lanes(new_low, new_high, at, active_bits(z) & lanes)
        store(S, start * 16, u)  # this row of sums has been used up
        for j in range(16):
            u_share[16 * tile + j] += np.float64(S[start, j])


@kernel
def move_task(task, n, m, words, new_bits, K, e, scale, a, Z0, D, T, S, u_shares, drift_shares, momentum):
    """One range of tiles and one block of neurons, with a thread's tables T and sums S."""
    tiles, ranges = new_bits.shape[0] // 2, drift_shares.shape[0]
    part, block = task % ranges, task // ranges
    first = block * S.shape[0]
    count = min(S.shape[0], m - first)
    for k in range(count):
        drift_shares[part, first + k] = 0.0
    for tile in range(part * tiles // ranges, (part + 1) * tiles // ranges):
        for j in range(16):
            u_shares[block, 16 * tile + j] = 0.0
        tile_sums(words, K, tile * e.size * 16, 16, e, first, count, T, S)
        move_tile(
            n, tile, first, count, words, new_bits, e, scale, a, Z0, D, S, u_shares[block], drift_shares[part], momentum
        )  # fmt: skip


@kernel(parallel=True)
def dual_step(n, m, words, new_bits, K, e, scale, a, Z0, D, tables, sums, u_shares, drift_shares):
    """u_shares (blocks, 16 tiles) and drift_shares (ranges, width) are overwritten; e is zero on padding samples."""
    for task in numba.prange(drift_shares.shape[0] * u_shares.shape[0]):
        thread = numba.get_thread_id()
        move_task(
            task, n, m, words, new_bits, K, e, scale, a, Z0, D, tables[thread], sums[thread], u_shares, drift_shares,
            None,
        )  # fmt: skip


@kernel(parallel=True)
def tile_coefficients(n, bits, total_residual, offsets, first, count, out):
    """out (count, n): coefficients of the samples in the weights' change, M S + O (see flips.record_flips)."""
    for k in numba.prange(count):
        r = first + k
        for i in range(n):
            value = offsets[i // 16, r, i % 16]
            if (bits[i // 8, r] >> (i % 8)) & 1:
                value += total_residual[i]
            out[k, i] = value
