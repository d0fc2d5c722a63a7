"""Pattern changes between two packed masks: their number, and the bookkeeping of the dual engine.

Layout: mask bytes ``[8 samples][neuron]`` read as words of 8 neurons by 8 samples. Padding bits are equal in
    both masks.
Owner: a task has some rows of bytes.
Cost: n m / 4 bytes read, one xor and popcount per word.
Bound: memory.
Machine: any; nothing here is measured on its own.
Accumulation: int64 per row of bytes, exact.
Rejected: none tried.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import lowest_bit, popcount


@kernel(parallel=True)
def flip_count(before, after, counts):
    """counts (rows,) = number of differing bits in each row of two (rows, words) uint64 arrays."""
    rows, words = before.shape
    for row in numba.prange(rows):
        count = np.uint64(0)
        for w in range(words):
            count += popcount(before[row, w] ^ after[row, w])
        counts[row] = np.int64(count)


@kernel(parallel=True)
def record_flips(before, after, total_residual, offsets):
    """Keep ``sum_k e_i(k) M_ir(k) = M_ir S_i + O_ir`` true when M changes: S_i = total_residual[i], O in tiles.

    An entry that turns off leaves its S_i behind in O; one that turns on owes it.  Only flips touch memory.
    """
    rows, words = before.shape
    for row in numba.prange(rows):
        for w in range(words):
            changed = before[row, w] ^ after[row, w]
            while changed != np.uint64(0):
                bit = lowest_bit(changed)
                changed &= changed - np.uint64(1)
                neuron, sample = 8 * w + bit // 8, 8 * row + bit % 8
                if (after[row, w] >> np.uint64(bit)) & np.uint64(1) != np.uint64(0):
                    offsets[sample // 16, neuron, sample % 16] -= total_residual[sample]
                else:
                    offsets[sample // 16, neuron, sample % 16] += total_residual[sample]
