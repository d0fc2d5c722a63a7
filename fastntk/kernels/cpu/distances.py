"""How far rows are from where they started, ``|w_r - w_r(0)|_2^2``, with the start held or drawn again.

Layout: W (m, d) row-major; a drawn row is written to a scratch row of its thread, which stays in cache.
Owner: a task has ROWS rows.
Cost: one pass over W, two with a start that is held; drawn, the cost of `normals`.
Bound: memory; drawn, arithmetic.
Machine: any; nothing here is measured on its own.
Accumulation: squares in working precision over 16 lanes by 16 columns, then float64.
Rejected: drawing blocks of rows to memory, then their distances (the rows leave the cache; two launches a block).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import load, total, zeros
from fastntk.kernels.cpu.normals import normal_row

ROWS = 32
PART = 256  # columns of a sum in working precision


@kernel
def squared_distance(row, start):
    """Sum of the squared differences."""
    whole, square = row.size // 16 * 16, 0.0
    for first in range(0, whole, PART):
        share = zeros(row)
        for c in range(first, min(first + PART, whole), 16):
            difference = load(row, c) - load(start, c)
            share = share + difference * difference
        square += np.float64(total(share))
    for c in range(whole, row.size):
        difference = np.float64(row[c]) - np.float64(start[c])
        square += difference * difference
    return square


@kernel(parallel=True)
def from_held(W, W0, out):
    """out (m,) = squared distances of the rows of W and W0."""
    m = out.size
    for task in numba.prange((m + ROWS - 1) // ROWS):
        for r in range(task * ROWS, min(m, (task + 1) * ROWS)):
            out[r] = squared_distance(W[r], W0[r])


@kernel(parallel=True)
def from_drawn(layer, first, pairing, key0, key1, kappa, W, rows, x, values, out):
    """The same for rows drawn as in `normals`; rows (threads, d): scratch."""
    m = out.size
    for task in numba.prange((m + ROWS - 1) // ROWS):
        slot = numba.get_thread_id()
        for r in range(task * ROWS, min(m, (task + 1) * ROWS)):
            neuron = (first + r) >> pairing
            normal_row(layer, neuron, key0, key1, kappa, rows[slot], x[slot], values[slot])
            out[r] = squared_distance(W[r], rows[slot])
