"""Pattern changes between two packed masks: their number, and the bookkeeping of the dual engine.

Layout: mask bytes ``[tile][neuron]`` read as words of 8 neurons by 8 samples.  Padding bits are equal in both masks.
Cost: n m / 4 bytes read, one xor and popcount per word; bound by memory bandwidth.
Accumulation: int64 per row of tiles, exact.
"""

import numba
import numpy as np

from fastntk.jit import kernel
from fastntk.kernels.cpu.lanes import lowest_bit, popcount


@kernel(parallel=True)
def flip_count(before, after, counts):
    """counts (tiles,) = number of differing bits in each row of two (tiles, words) uint64 arrays."""
    tiles, words = before.shape
    for tile in numba.prange(tiles):
        count = np.uint64(0)
        for w in range(words):
            count += popcount(before[tile, w] ^ after[tile, w])
        counts[tile] = np.int64(count)


@kernel(parallel=True)
def record_flips(before, after, total_residual, offsets):
    """Keep ``sum_k e_i(k) M_ir(k) = M_ir S_i + O_ir`` true when M changes: S_i = total_residual[i], O in tiles.

    An entry that turns off leaves its S_i behind in O; one that turns on owes it.  Only flips touch memory.
    """
    tiles, words = before.shape
    for tile in numba.prange(tiles):
        for w in range(words):
            changed = before[tile, w] ^ after[tile, w]
            while changed != np.uint64(0):
                bit = lowest_bit(changed)
                changed &= changed - np.uint64(1)
                neuron, j = 8 * w + bit // 8, bit % 8
                if (after[tile, w] >> np.uint64(bit)) & np.uint64(1) != np.uint64(0):
                    offsets[tile, neuron, j] -= total_residual[8 * tile + j]
                else:
                    offsets[tile, neuron, j] += total_residual[8 * tile + j]
