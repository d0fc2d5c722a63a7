"""What the dual engine needs beside `dual_step` for Runge-Kutta steps: the mean of two states, and norms of a change.

Layout: as dual_step; K0 is the change of the pre-activations of the state before.
Owner: a task has one tile of samples, or a range of tiles, and a block of neurons.
Cost: the mean reads Z0, D and K0 and writes D (16 n m bytes in float32), the norms read D and the offsets (8 n m).
Bound: memory.
Machine: any; nothing here is measured on its own.
Accumulation: u in working precision over 64 neurons, then float64; norms over 16 samples in working precision, then
    float64 over tiles. Fixed ranges in a fixed order: results do not depend on the number of threads.
Rejected: none tried.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.dual_second import BLOCK
from fastntk.kernels.cpu.dual_step import SUB_BLOCK
from fastntk.kernels.cpu.forward import lane_mask, lanes_at, put_lanes
from fastntk.kernels.cpu.lane_bits import active_bits, keep
from fastntk.kernels.cpu.lanes import broadcast, load, relu, store, total, zeros


@kernel(parallel=True)
def dual_mean(n, m, parts, a, Z0, K0, D, bits, u_shares, sums):
    """``D = parts[0] K0 + parts[1] D``, its signs, and u_shares (blocks, 16 tiles) of the outputs; sums is scratch."""
    tiles, width, blocks = Z0.shape[0], Z0.shape[1], u_shares.shape[0]
    rows = (m + blocks - 1) // blocks
    for task in numba.prange(tiles * blocks):
        tile, block = task % tiles, task // tiles
        S = sums[numba.get_thread_id()]
        lanes, low, high = lane_mask(n, tile), bits[2 * tile], bits[2 * tile + 1]
        kept, moved = broadcast(parts, 0), broadcast(parts, 1)
        last = min((block + 1) * rows, m)
        for j in range(16):
            u_shares[block, 16 * tile + j] = 0.0
        for start in range(block * rows, last, SUB_BLOCK):
            u = zeros(S)
            for r in range(start, min(start + SUB_BLOCK, last)):
                offset = (tile * width + r) * 16
                change = kept * load(K0, offset) + moved * load(D, offset)
                store(D, offset, change)
                z = load(Z0, offset) + change
                u = u + broadcast(a, r) * relu(z)
                put_lanes(low, high, np.uint64(r), active_bits(z) & lanes)
            store(S, 0, u)
            for j in range(16):
                u_shares[block, 16 * tile + j] += np.float64(S[0, j])


@kernel(parallel=True)
def change_norms(m, bits, total_residual, offsets, D, shares):
    """shares (ranges, width): of ``sum_i (M_ir S_i + O_ir) D_ir``, the samples of one range each (see record_flips)."""
    tiles, width, ranges = D.shape[0], D.shape[1], shares.shape[0]
    for task in numba.prange(ranges * ((m + BLOCK - 1) // BLOCK)):
        part, first = task % ranges, (task // ranges) * BLOCK
        last = min(first + BLOCK, m)
        for r in range(first, last):
            shares[part, r] = 0.0
        for tile in range(part * tiles // ranges, (part + 1) * tiles // ranges):
            low, high, running = bits[2 * tile], bits[2 * tile + 1], load(total_residual, 16 * tile)
            for r in range(first, last):
                offset, at = (tile * width + r) * 16, np.uint64(r)
                coefficients = keep(lanes_at(low, high, at), running) + load(offsets, offset)
                shares[part, at] += np.float64(total(coefficients * load(D, offset)))
