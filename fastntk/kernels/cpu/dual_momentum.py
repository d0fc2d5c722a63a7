"""One step with momentum on the pre-activations: ``V' = beta V + G``, ``D' = D + b V' + c G``, G that of `dual_step`.

Layout: as dual_step, with the pre-activations V of the velocity beside D; coefficients (beta, b, c, -look).
    Heavy ball: b = 1, c = 0, look = 0. Nesterov, stored at the point it looks ahead to: b = look = beta, c = 1.
Per tile: two inner products in weight space with the gradient step g, of the point that the velocity moves
    (``D - look V``) and of ``2 beta v + g``: from them follow all norms the drift needs, without weights.
Cost: dual_step, and V read and written: 8 n m bytes more in float32.
Accumulation: as dual_step.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.dual_step import SUB_BLOCK
from fastntk.kernels.cpu.forward import lane_mask, lanes_at, put_lanes
from fastntk.kernels.cpu.lanes import (
    active_bits,
    broadcast,
    keep,
    load,
    relu,
    store,
    total,
    zeros,
)
from fastntk.kernels.cpu.masked_sums import tile_sums


@kernel
def move_tile(
    n,
    tile,
    first,
    count,
    bits,
    new_bits,
    e,
    scale,
    a,
    coefficients,
    Z0,
    D,
    V,
    S,
    u_share,
    base_share,
    step_share,
):
    """Apply the sums S to one tile and a block of neurons, and reduce what the metrics need."""
    width = bits.shape[1]
    lanes = lane_mask(n, tile)
    residual = load(e, 16 * tile)
    beta, ahead = broadcast(coefficients, 0), broadcast(coefficients, 1)
    direct, behind = broadcast(coefficients, 2), broadcast(coefficients, 3)
    low, high, new_low, new_high = (
        bits[2 * tile],
        bits[2 * tile + 1],
        new_bits[2 * tile],
        new_bits[2 * tile + 1],
    )
    for start in range(0, count, SUB_BLOCK):
        u = zeros(S)
        for k in range(start, min(start + SUB_BLOCK, count)):
            r = first + k
            offset = (tile * width + r) * 16
            before, velocity = load(D, offset), load(V, offset)
            gradient = broadcast(scale, r) * load(S, k * 16)
            damped = beta * velocity
            moving = damped + gradient
            store(V, offset, moving)
            after = before + ahead * moving + direct * gradient
            store(D, offset, after)
            z = load(Z0, offset) + after
            u = u + broadcast(a, r) * relu(z)
            at = np.uint64(r)  # unsigned: no test for a negative index
            old = lanes_at(low, high, at)
            put_lanes(new_low, new_high, at, active_bits(z) & lanes)
            weights = keep(np.uint16(old), residual)
            base_share[at] += np.float64(scale[at]) * np.float64(
                total(weights * (before + behind * velocity))
            )
            step_share[at] += np.float64(scale[at]) * np.float64(total(weights * (damped + moving)))
        store(S, start * 16, u)  # this row of sums has been used up
        for j in range(16):
            u_share[16 * tile + j] += np.float64(S[start, j])


@kernel(parallel=True)
def dual_momentum(
    n,
    m,
    bits,
    new_bits,
    K,
    e,
    scale,
    a,
    coefficients,
    Z0,
    D,
    V,
    tables,
    sums,
    u_shares,
    base_shares,
    step_shares,
):
    """u_shares (blocks, 16 tiles), base_shares and step_shares (ranges, width) are overwritten; see dual_step."""
    tiles = bits.shape[0] // 2
    ranges, blocks = base_shares.shape[0], u_shares.shape[0]
    for task in numba.prange(ranges * blocks):
        part, block = task % ranges, task // ranges
        thread = numba.get_thread_id()
        S = sums[thread]
        first = block * S.shape[0]
        count = min(S.shape[0], m - first)
        for k in range(count):
            base_shares[part, first + k] = 0.0
            step_shares[part, first + k] = 0.0
        for tile in range(part * tiles // ranges, (part + 1) * tiles // ranges):
            for j in range(16):
                u_shares[block, 16 * tile + j] = 0.0
            tile_sums(bits, K, e, tile, first, count, tables[thread], S)
            move_tile(
                n,
                tile,
                first,
                count,
                bits,
                new_bits,
                e,
                scale,
                a,
                coefficients,
                Z0,
                D,
                V,
                S,
                u_shares[block],
                base_shares[part],
                step_shares[part],
            )
