"""Passes over one layer of a deep network, each a product of BLAS and what follows it while the block is in cache.

Formula: ``x = factor relu(W below)`` with its pattern M; ``delta = factor M o (W_above^T delta_above)``;
    ``W <- W - lr delta below^T`` in place.
Layout: activations and deltas (neurons, 16 tiles of samples) row-major, zeros on the padding; bits as in `packing`.
Owner: a task has a block of ROWS neurons by COLUMNS samples, of `update` by COLUMNS inputs, whatever the threads are.
Cost: n m^2 multiply-adds of BLAS each; then one pass over the block.
Bound: these products.
Machine: Zen 5, 2 cores.
Accumulation: BLAS in working precision over the inputs, neurons or samples of a product; outputs in working precision
    over 64 neurons, then float64, in the order of the neurons.
Rejected: blocks of 256 neurons, and of 128 samples (BLAS packs the other factor anew for each: 1.25x slower).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.forward import lane_mask, lanes_at, put_lanes
from fastntk.kernels.cpu.gemm import gemm
from fastntk.kernels.cpu.lane_bits import active_bits, keep
from fastntk.kernels.cpu.lanes import broadcast, load, relu, store

WORD = 64
ROWS = 1024
COLUMNS = 512


@kernel
def activate(above, n, r0, r1, c0, c1, factor, bits):
    """Pre-activations of a block to activations, in place, and their signs; whole cache lines of mask bytes."""
    pitch = above.shape[1]
    for word in range(r0, r1, WORD):
        for t in range(c0 // 16, (c1 + 15) // 16):
            mask = lane_mask(n, t)
            low, high = bits[2 * t], bits[2 * t + 1]
            for r in range(word, min(word + WORD, r1)):
                at = r * pitch + 16 * t
                z = load(above, at)
                put_lanes(low, high, r, active_bits(z) & mask)
                store(above, at, relu(z) * broadcast(factor, 0))


@kernel(parallel=True)
def forward_layer(W, below, n, factor, above, bits):
    """above (m, 16 tiles) = factor relu(W below), and the pattern."""
    m, samples = above.shape
    parts = (samples + COLUMNS - 1) // COLUMNS
    for task in numba.prange((m + ROWS - 1) // ROWS * parts):
        r0, c0 = task // parts * ROWS, task % parts * COLUMNS
        r1, c1 = min(m, r0 + ROWS), min(samples, c0 + COLUMNS)
        gemm(False, False, 1.0, W[r0:r1], below[:, c0:c1], 0.0, above[r0:r1, c0:c1])
        activate(above, n, r0, r1, c0, c1, factor, bits)


@kernel(parallel=True)
def output_shares(top, a, partial, shares):
    """shares (blocks of neurons, 16 tiles) = sums of a_r x_r over the block; partial: one row a thread."""
    m, samples = top.shape
    for block in numba.prange(shares.shape[0]):
        sums = partial[numba.get_thread_id()]
        shares[block, :] = 0.0
        for word in range(block * ROWS, min(m, (block + 1) * ROWS), WORD):
            sums[:] = 0
            for r in range(word, min(word + WORD, m)):
                for t in range(samples // 16):
                    value = load(sums, 16 * t) + broadcast(a, r) * load(top, r * samples + 16 * t)
                    store(sums, 16 * t, value)
            for i in range(samples):
                shares[block, i] += np.float64(sums[i])


@kernel(parallel=True)
def top_delta(a, e, factor, bits, delta):
    """delta (m, 16 tiles) = factor a_r e_i M of the last hidden layer."""
    m, samples = delta.shape
    for block in numba.prange((m + WORD - 1) // WORD):
        for t in range(samples // 16):
            low, high = bits[2 * t], bits[2 * t + 1]
            for r in range(block * WORD, min(m, (block + 1) * WORD)):
                value = broadcast(factor, 0) * broadcast(a, r) * load(e, 16 * t)
                store(delta, r * samples + 16 * t, keep(lanes_at(low, high, r), value))


@kernel(parallel=True)
def backward_layer(W_above, delta_above, factor, bits, delta):
    """delta (m, 16 tiles) = factor M o (W_above^T delta_above)."""
    m, samples = delta.shape
    parts = (samples + COLUMNS - 1) // COLUMNS
    for task in numba.prange((m + ROWS - 1) // ROWS * parts):
        r0, c0 = task // parts * ROWS, task % parts * COLUMNS
        r1, c1 = min(m, r0 + ROWS), min(samples, c0 + COLUMNS)
        gemm(True, False, 1.0, W_above[:, r0:r1], delta_above[:, c0:c1], 0.0, delta[r0:r1, c0:c1])
        for t in range(c0 // 16, c1 // 16):
            low, high = bits[2 * t], bits[2 * t + 1]
            for r in range(r0, r1):
                at = r * samples + 16 * t
                store(delta, at, keep(lanes_at(low, high, r), load(delta, at) * broadcast(factor, 0)))


@kernel(parallel=True)
def weigh_samples(delta, e):
    """delta *= e, sample by sample."""
    m, samples = delta.shape
    for block in numba.prange((m + WORD - 1) // WORD):
        for r in range(block * WORD, min(m, (block + 1) * WORD)):
            for t in range(samples // 16):
                at = r * samples + 16 * t
                store(delta, at, load(delta, at) * load(e, 16 * t))


@kernel(parallel=True)
def descend_layer(delta, below, lr, W):
    """W (m, d) -= lr delta below^T."""
    m, d = W.shape
    parts = (d + COLUMNS - 1) // COLUMNS
    for task in numba.prange((m + ROWS - 1) // ROWS * parts):
        r0, c0 = task // parts * ROWS, task % parts * COLUMNS
        r1, c1 = min(m, r0 + ROWS), min(d, c0 + COLUMNS)
        gemm(False, True, -lr, delta[r0:r1], below[c0:c1], 1.0, W[r0:r1, c0:c1])


@kernel(parallel=True)
def accelerate_layer(delta, below, lr, beta, b, c, W, V):
    """V <- beta V - lr g and W <- W + b V - c lr g with g = delta below^T: the last term is c (V - beta V before)."""
    m, d = W.shape
    parts = (d + COLUMNS - 1) // COLUMNS
    for task in numba.prange((m + ROWS - 1) // ROWS * parts):
        r0, c0 = task // parts * ROWS, task % parts * COLUMNS
        r1, c1 = min(m, r0 + ROWS), min(d, c0 + COLUMNS)
        if c != 0.0:
            for r in range(r0, r1):
                for k in range(c0, c1):
                    W[r, k] -= c * beta * V[r, k]
        gemm(False, True, -lr, delta[r0:r1], below[c0:c1], beta, V[r0:r1, c0:c1])
        for r in range(r0, r1):
            for k in range(c0, c1):
                W[r, k] += (b + c) * V[r, k]
