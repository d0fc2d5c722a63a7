"""Forward product fused with sign, bit packing and the share of the outputs: ``Z = X W^T``, ``u = sum_r a_r relu(z_r)``.

Layout: a task owns a block of neurons: one single-threaded BLAS product into a scratch block (neurons, 8 tiles) that stays in
    cache, then the signs of 64 neurons at a time, gathered and written as whole cache lines of mask bytes ``[tile][neuron]``.
Cost: n d m multiply-adds of BLAS (the bound), then about 5 instructions per eight pre-activations; W read once.
Accumulation: BLAS over columns; u in working precision over 64 neurons, then float64, added in neuron order.
Rejected: one multi-threaded BLAS call per block (its idle workers spin on the cores that the packing needs: packing 2x slower).
"""

import numba
import numpy as np

from fastntk.jit import kernel
from fastntk.kernels.cpu.lanes import active_bits, broadcast, load, relu, store, zeros

WORD = 64


@kernel
def lane_mask(n, tile):
    """Bits of the lanes of a tile that are samples, not padding."""
    return np.uint8((1 << min(8, n - 8 * tile)) - 1)


@kernel
def word_signs(Z, n, row, count, a, first, octets, share):
    """Bytes (tile, neuron of the word) and shares of u of up to 64 neurons, from row `row` of Z."""
    tiles = octets.shape[0]
    for t in range(tiles):
        store(share, 8 * t, zeros(share))
    for k in range(count):
        offset = (row + k) * 8 * tiles
        for t in range(tiles):
            z = load(Z, offset + 8 * t)
            octets[t, k] = active_bits(z)
            store(share, 8 * t, load(share, 8 * t) + broadcast(a, first + k) * relu(z))
    last = lane_mask(n, tiles - 1)
    for k in range(count):
        octets[tiles - 1, k] &= last


@kernel
def block_signs(Z, n, count, a, first, bits, octets, share, u_share, kept):
    """Everything wanted from the pre-activations Z of one block of neurons."""
    tiles, width = bits.shape
    for i in range(8 * tiles):
        u_share[i] = 0.0
    for row in range(0, count, WORD):
        some = min(WORD, count - row)
        word_signs(Z, n, row, some, a, first + row, octets, share)
        for t in range(tiles):
            for k in range(some):
                bits[t, first + row + k] = octets[t, k]
        for i in range(8 * tiles):
            u_share[i] += np.float64(share[i])
        if kept.size:
            for t in range(tiles):
                for k in range(row, row + some):
                    store(kept, (t * width + first + k) * 8, load(Z, (k * tiles + t) * 8))


@kernel(parallel=True)
def forward(W, X, n, a, bits, Z, octets, shares, u_shares, kept):
    """X (8 tiles, d) padded; Z (threads, rows, 8 tiles) scratch; kept: Z in tiles if not empty."""
    m, rows = W.shape[0], Z.shape[1]
    for block in numba.prange(u_shares.shape[0]):
        thread, first = numba.get_thread_id(), block * rows
        count = min(rows, m - first)
        here = Z[thread, :count]
        np.dot(W[first : first + count], X.T, here)
        block_signs(here, n, count, a, first, bits, octets[thread], shares[thread], u_shares[block], kept)


@kernel(parallel=True)
def forward_moved(W0, D, X, n, a, bits, W, Z, octets, shares, u_shares):
    """The same for the weights W0 + D, D in tiles, summed in the scratch W (threads, rows, d)."""
    m, d = W0.shape
    rows = Z.shape[1]
    nothing = D[:0]
    for block in numba.prange(u_shares.shape[0]):
        thread, first = numba.get_thread_id(), block * rows
        count = min(rows, m - first)
        weights, here = W[thread, :count], Z[thread, :count]
        for k in range(count):
            for c in range(d):
                weights[k, c] = W0[first + k, c] + D[c // 8, first + k, c % 8]
        np.dot(weights, X.T, here)
        block_signs(here, n, count, a, first, bits, octets[thread], shares[thread], u_shares[block], nothing)
