"""Signs of the pre-activations ``z_r = w_r . x`` alone, packed; their positive parts where they are wanted.

Layout: mask bytes ``[8 samples][neuron]``, written as whole cache lines; positive parts are operands of
    `gram_sums`, ``[160 samples][neuron][160]``.
Owner: a task has a block of neurons: one single-threaded BLAS product into a scratch block (neurons, 16 tiles), then
    the signs of 64 neurons at a time, gathered.
Cost: n d m multiply-adds of BLAS, then 4 instructions per sixteen pre-activations; W read once. BLAS packs the samples
    once a block: with 1024, 512, 256 neurons in one it takes 1, 2, 4 % more than with 2048.
Bound: the product.
Machine: Zen 5, 2 cores.
Accumulation: BLAS over columns.
Rejected: outputs along with the signs, as `forward` does, for callers who want none (another 2 % at d = 1000).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.forward import WORD, clear_padding, write_octets
from fastntk.kernels.cpu.gram_sums import ROWS
from fastntk.kernels.cpu.lane_bits import active_bits
from fastntk.kernels.cpu.lanes import load, relu, store, total, zeros

TILES = ROWS // 16


@kernel
def word_bits(Z, n, row, count, octets):
    """Mask bytes (8 samples, neuron of the word) of up to 64 neurons, from row `row` of Z; returns 0, or NaN of inf."""
    tiles = octets.shape[0] // 2
    nothing = zeros(Z)
    finite = zeros(Z)
    for k in range(count):
        offset = (row + k) * 16 * tiles
        for t in range(tiles):
            z = load(Z, offset + 16 * t)
            finite = finite + z * nothing
            active = active_bits(z)
            octets[2 * t, k] = np.uint8(active & np.uint16(255))
            octets[2 * t + 1, k] = np.uint8(active >> np.uint16(8))
    clear_padding(octets, n, count)
    return np.float64(total(finite))


@kernel
def keep_positive(Z, count, first, positive):
    """positive[:, first : first + count] = relu(Z), 160 samples a block."""
    tiles, room = Z.shape[1] // 16, positive.shape[1]
    for t in range(tiles):
        target = (t // TILES * room + first) * ROWS + t % TILES * 16
        for k in range(count):
            store(positive, target + ROWS * k, relu(load(Z, (k * tiles + t) * 16)))


@kernel(parallel=True)
def activation(W, X, n, first, bits, Z, octets, positive, finite):
    """bits[:, first : first + neurons of W]; X (16 tiles, d) padded; Z (threads, rows, 16 tiles); positive or empty.

    finite (blocks) is 0, or NaN where a product has overflowed.
    """
    m, rows = W.shape[0], Z.shape[1]
    for block in numba.prange(-(-m // rows)):
        thread, start = numba.get_thread_id(), block * rows
        count = min(rows, m - start)
        here = Z[thread, :count]
        finite[block] = 0.0
        np.dot(W[start : start + count], X.T, here)
        for row in range(0, count, WORD):
            some = min(WORD, count - row)
            finite[block] += word_bits(here, n, row, some, octets[thread])
            write_octets(octets[thread], some, first + start + row, bits)
        if positive.size:
            keep_positive(here, count, start, positive)
