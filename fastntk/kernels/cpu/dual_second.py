"""What the dual engine needs beside `dual_step` when the second layer moves too.

Layout: pre-activations Z0 + D, and the coefficients C of the samples in the weights' change, ``[tile of 16
    samples][neuron][16]``; mask bytes ``[8 samples][neuron]``.
Owner: a task has a range of tiles and a block of neurons.
Cost: products read Z0 and D (8 n m bytes in float32); coefficients are read and written (8 n m; twice that with
    momentum); outputs read Z0 and D.
Bound: memory.
Machine: any; nothing here is measured on its own.
Accumulation: products of 16 samples in working precision, then float64 over tiles; u in working precision over 64
    neurons, then float64. Fixed ranges in a fixed order: results do not depend on the number of threads.
Rejected: coefficients as running sums with a correction for flips (as for a fixed second layer): their weights
    a_r(k) e_i(k) are no longer a product of something of the neuron and something of the sample.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.dual_step import SUB_BLOCK
from fastntk.kernels.cpu.forward import lanes_at
from fastntk.kernels.cpu.lane_bits import keep
from fastntk.kernels.cpu.lanes import broadcast, load, relu, store, total, zeros

BLOCK = 2048  # neurons of a task


@kernel(parallel=True)
def positive_products(m, e, Z0, D, shares):
    """shares (ranges, width): of ``sum_i e_i relu(z_ir)``, the samples of one range each."""
    tiles, width, ranges = Z0.shape[0], Z0.shape[1], shares.shape[0]
    for task in numba.prange(ranges * ((m + BLOCK - 1) // BLOCK)):
        part, first = task % ranges, (task // ranges) * BLOCK
        last = min(first + BLOCK, m)
        for r in range(first, last):
            shares[part, r] = 0.0
        for tile in range(part * tiles // ranges, (part + 1) * tiles // ranges):
            residual = load(e, 16 * tile)
            for r in range(first, last):
                offset = (tile * width + r) * 16
                z = load(Z0, offset) + load(D, offset)
                shares[part, np.uint64(r)] += np.float64(total(residual * relu(z)))


@kernel(parallel=True)
def add_coefficients(m, bits, e, scale, C):
    """``C += g`` with ``g_ir = scale_r e_i M_ir``."""
    tiles, width = C.shape[0], C.shape[1]
    for tile in numba.prange(tiles):
        residual, low, high = load(e, 16 * tile), bits[2 * tile], bits[2 * tile + 1]
        for r in range(m):
            offset = (tile * width + r) * 16
            step = broadcast(scale, r) * keep(lanes_at(low, high, np.uint64(r)), residual)
            store(C, offset, load(C, offset) + step)


@kernel(parallel=True)
def add_damped_coefficients(m, bits, e, scale, coefficients, C, V):
    """``V <- beta V + g``, ``C <- C + b V + c g`` (see dual_momentum)."""
    tiles, width = C.shape[0], C.shape[1]
    for tile in numba.prange(tiles):
        residual, low, high = load(e, 16 * tile), bits[2 * tile], bits[2 * tile + 1]
        beta, ahead = broadcast(coefficients, 0), broadcast(coefficients, 1)
        direct = broadcast(coefficients, 2)
        for r in range(m):
            offset = (tile * width + r) * 16
            step = broadcast(scale, r) * keep(lanes_at(low, high, np.uint64(r)), residual)
            moving = beta * load(V, offset) + step
            store(V, offset, moving)
            store(C, offset, load(C, offset) + ahead * moving + direct * step)


@kernel(parallel=True)
def tile_outputs(m, a, Z0, D, u_shares, sums):
    """u_shares (blocks, 16 tiles): of ``sum_r a_r relu(z_ir)``; sums (threads, >= 1, 16) is scratch."""
    tiles, width, blocks = Z0.shape[0], Z0.shape[1], u_shares.shape[0]
    rows = (m + blocks - 1) // blocks
    for task in numba.prange(tiles * blocks):
        tile, block = task % tiles, task // tiles
        S = sums[numba.get_thread_id()]
        last = min((block + 1) * rows, m)
        for j in range(16):
            u_shares[block, 16 * tile + j] = 0.0
        for start in range(block * rows, last, SUB_BLOCK):
            u = zeros(S)
            for r in range(start, min(start + SUB_BLOCK, last)):
                offset = (tile * width + r) * 16
                u = u + broadcast(a, r) * relu(load(Z0, offset) + load(D, offset))
            store(S, 0, u)
            for j in range(16):
                u_shares[block, 16 * tile + j] += np.float64(S[0, j])
