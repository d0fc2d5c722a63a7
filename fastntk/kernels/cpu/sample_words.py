"""Words over samples: bit j of ``words[g, r]`` is ``M[64 g + j, r]``, from mask bytes.

Formula: eight rows of bytes side by side.
Layout: mask bytes ``[8 samples][neuron]``, words ``[64 samples][neuron]``; bits beyond the last row of bytes are 0.
Owner: a task has one row of words and a block of neurons.
Cost: n m / 8 bytes read and written.
Bound: memory.
Machine: any.
Accumulation: none.
Rejected: words written by the tile pass (a step writes 16 samples at a time, and two tasks would share words).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel

BLOCK = 8192  # neurons of a task


@kernel
def join_bytes(bits, g, first, last, words):
    """Words g of the neurons first ... last - 1."""
    rows = min(8, bits.shape[0] - 8 * g)
    if rows == 8:
        b0, b1, b2, b3 = bits[8 * g], bits[8 * g + 1], bits[8 * g + 2], bits[8 * g + 3]
        b4, b5, b6, b7 = bits[8 * g + 4], bits[8 * g + 5], bits[8 * g + 6], bits[8 * g + 7]
        for r in range(first, last):
            low = np.uint64(b0[r]) | np.uint64(b1[r]) << np.uint64(8) | np.uint64(b2[r]) << np.uint64(16)
            middle = np.uint64(b3[r]) << np.uint64(24) | np.uint64(b4[r]) << np.uint64(32)
            high = np.uint64(b5[r]) << np.uint64(40) | np.uint64(b6[r]) << np.uint64(48)
            words[g, r] = low | middle | high | np.uint64(b7[r]) << np.uint64(56)
    else:
        words[g, first:last] = 0
        for row in range(rows):
            for r in range(first, last):
                words[g, r] |= np.uint64(bits[8 * g + row, r]) << np.uint64(8 * row)


@kernel(parallel=True)
def sample_words(bits, words):
    """words (rows of bytes / 8, width) is overwritten."""
    groups, width = words.shape
    for task in numba.prange(groups * ((width + BLOCK - 1) // BLOCK)):
        first = task // groups * BLOCK
        join_bytes(bits, task % groups, first, min(first + BLOCK, width), words)
