"""Pattern changes between two packed masks, counted for each neuron and for each sample.

Layout: mask bytes ``[8 samples][neuron]`` read as words of 8 neurons by 8 samples; bit j of each byte is a sample.
Owner: a task has a block of words: the counts of its neurons, and its share of those of all samples.
Cost: n m / 4 bytes read; of each word of changes the bits of every byte are summed in place, and a popcount is taken of
    each of its 8 samples. The same for few changes and for many.
Bound: instructions, 2-3 times a flip_count.
Machine: two cores with AVX-512, of which kind is not on record.
Accumulation: bytes of eight neurons in one word over at most `ROWS` rows of at most 8 changes each (248 of 255), then
    int64; exact.
Rejected: none tried.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import popcount

BLOCK = 256  # words
ROWS = 31
EVERY_BYTE = np.uint64(0x0101010101010101)
PAIRS = np.uint64(0x5555555555555555)
QUADS = np.uint64(0x3333333333333333)
NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)


@kernel
def bits_of_bytes(word):
    """Number of set bits of each byte, in that byte."""
    pairs = word - ((word >> np.uint64(1)) & PAIRS)
    quads = (pairs & QUADS) + ((pairs >> np.uint64(2)) & QUADS)
    return (quads + (quads >> np.uint64(4))) & NIBBLES


@kernel
def row_marginals(before, after, changes, octets, samples):
    """octets[w] += changes of 8 neurons; samples (8,) = changes of 8 samples, of one row of words."""
    for w in range(before.size):
        changed = before[w] ^ after[w]
        changes[w] = changed
        octets[w] += bits_of_bytes(changed)
    for bit in range(8):
        sample = EVERY_BYTE << np.uint64(bit)
        count = np.uint64(0)
        for w in range(before.size):
            count += popcount(changes[w] & sample)
        samples[bit] = np.int64(count)


@kernel(parallel=True)
def flip_marginals(before, after, neurons, shares, scratch):
    """neurons (8 words,) and shares (blocks, 8 rows) int64 of (rows, words) uint64; scratch (threads, 2, BLOCK)."""
    rows, words = before.shape
    for block in numba.prange(shares.shape[0]):
        first = block * BLOCK
        last = min(first + BLOCK, words)
        thread = numba.get_thread_id()
        changes, octets = scratch[thread, 0, : last - first], scratch[thread, 1, : last - first]
        neurons[8 * first : 8 * last] = 0
        for start in range(0, rows, ROWS):
            octets[:] = np.uint64(0)
            for row in range(start, min(start + ROWS, rows)):
                samples = shares[block, 8 * row : 8 * row + 8]
                row_marginals(before[row, first:last], after[row, first:last], changes, octets, samples)
            for k in range(8 * (last - first)):
                octet = octets[k // 8] >> np.uint64(8 * (k % 8))
                neurons[8 * first + k] += np.int64(octet & np.uint64(255))
