"""Forward product fused with sign, bit packing and outputs: ``Z = W X^T``, ``u = sum_r a_r relu(z_r)``.

Layout: mask bytes ``[8 samples][neuron]``, written as whole cache lines.
Owner: a task has a block of neurons: one single-threaded BLAS product into a scratch block (neurons, 16 tiles) that
    stays in cache, then the signs of 64 neurons at a time, gathered.
Cost: n d m multiply-adds of BLAS, then about 5 instructions per sixteen pre-activations; W read once.
Bound: the product.
Machine: two cores with AVX-512, of which kind is not on record.
Accumulation: BLAS over columns; u in working precision over 64 neurons, then float64, added in neuron order.
Rejected: one multi-threaded BLAS call per block of 500 ... 8000 rows, then the signs (1.02-1.14x slower: its
    idle workers spin on the cores that the packing needs).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import active_bits
from fastntk.kernels.cpu.lanes import broadcast, load, relu, store, zeros

WORD = 64


@kernel
def lane_mask(n, tile):
    """Bits of the lanes of a tile that are samples, not padding."""
    return np.uint16((1 << min(16, n - 16 * tile)) - 1)


@kernel
def lanes_at(low, high, at):
    """The bits of 16 samples from their two rows of mask bytes, at an unsigned index (no test for a negative one)."""
    return np.uint16(low[at]) | (np.uint16(high[at]) << np.uint16(8))


@kernel
def put_lanes(low, high, at, bits):
    """Write the bits of 16 samples to their two rows of mask bytes, at an unsigned index."""
    low[at] = np.uint8(bits & np.uint16(255))
    high[at] = np.uint8(bits >> np.uint16(8))


@kernel
def clear_padding(octets, n, count):
    """Switch off the samples of the last tile that are padding, for `count` neurons."""
    tiles = octets.shape[0] // 2
    last = lane_mask(n, tiles - 1)
    for k in range(count):
        octets[2 * tiles - 2, k] &= np.uint8(last & np.uint16(255))
        octets[2 * tiles - 1, k] &= np.uint8(last >> np.uint16(8))


@kernel
def write_octets(octets, count, first, bits):
    """Copy the bytes of a word of neurons to their columns, whole cache lines at a time."""
    for g in range(bits.shape[0]):
        for k in range(count):
            bits[g, first + k] = octets[g, k]


@kernel
def word_signs(Z, n, row, count, a, first, octets, share):
    """Bytes (8 samples, neuron of the word) and shares of u of up to 64 neurons, from row `row` of Z."""
    tiles, nothing = octets.shape[0] // 2, zeros(share)
    for t in range(tiles):
        store(share, 16 * t, nothing)
    for k in range(count):
        offset = (row + k) * 16 * tiles
        for t in range(tiles):
            z = load(Z, offset + 16 * t)
            active = active_bits(z)
            octets[2 * t, k] = np.uint8(active & np.uint16(255))
            octets[2 * t + 1, k] = np.uint8(active >> np.uint16(8))
            # z nothing is 0, or NaN if z has overflowed: then so are the outputs.
            store(share, 16 * t, load(share, 16 * t) + broadcast(a, first + k) * relu(z) + z * nothing)
    clear_padding(octets, n, count)


@kernel
def block_signs(Z, n, count, a, first, bits, octets, share, u_share, kept):
    """Everything wanted from the pre-activations Z of one block of neurons."""
    width, samples = bits.shape[1], share.size
    for i in range(samples):
        u_share[i] = 0.0
    for row in range(0, count, WORD):
        some = min(WORD, count - row)
        word_signs(Z, n, row, some, a, first + row, octets, share)
        write_octets(octets, some, first + row, bits)
        for i in range(samples):
            u_share[i] += np.float64(share[i])
        if kept.size:
            for t in range(kept.shape[0]):
                for k in range(row, row + some):
                    store(kept, (t * width + first + k) * 16, load(Z, k * samples + t * 16))


@kernel(parallel=True)
def forward(W, X, n, a, bits, Z, octets, shares, u_shares, kept):
    """X (16 tiles, d) padded; Z (threads, rows, 16 tiles) scratch; kept: Z in tiles if not empty."""
    m, rows = W.shape[0], Z.shape[1]
    for block in numba.prange(u_shares.shape[0]):
        thread, first = numba.get_thread_id(), block * rows
        count = min(rows, m - first)
        here = Z[thread, :count]
        np.dot(W[first : first + count], X.T, here)
        block_signs(here, n, count, a, first, bits, octets[thread], shares[thread], u_shares[block], kept)


@kernel
def moved_rows(W0, D, first, out):
    """out (rows, d) = rows of W0 + D from `first`, row-major for BLAS."""
    (rows, d), width = out.shape, D.shape[1]
    for t in range(d // 16):
        for k in range(rows):
            change = load(D, (t * width + first + k) * 16)
            store(out, k * d + 16 * t, change + load(W0, (first + k) * d + 16 * t))
    for k in range(rows):
        for c in range(d // 16 * 16, d):
            out[k, c] = W0[first + k, c] + D[c // 16, first + k, c % 16]


@kernel(parallel=True)
def forward_moved(W0, D, X, n, a, bits, W, Z, octets, shares, u_shares):
    """`forward` for the weights W0 + D, D in tiles, summed in the scratch W (threads, rows, d)."""
    m, rows = W0.shape[0], Z.shape[1]
    nothing = D[:0]
    for block in numba.prange(u_shares.shape[0]):
        thread, first = numba.get_thread_id(), block * rows
        count = min(rows, m - first)
        weights, here = W[thread, :count], Z[thread, :count]
        moved_rows(W0, D, first, weights)
        np.dot(weights, X.T, here)
        block_signs(here, n, count, a, first, bits, octets[thread], shares[thread], u_shares[block], nothing)
