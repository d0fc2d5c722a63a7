"""Sums of products over neurons, ``S[i, j] += sum_r A[i, r] B[j, r]``, tile by tile in float64.

Layout: operands ``[160 samples][neuron][160]``.
Owner: a task has a tile of 160 x 160 samples.
Cost: n^2 m / 2 multiply-adds of BLAS for a symmetric matrix, n k m for a cross one.
Bound: these products.
Machine: any; nothing here is measured on its own.
Accumulation: BLAS in working precision over 512 neurons at a time, counted from the first one; those sums in
    float64 in the order of the neurons. Terms are not negative, so a float32 tile is good to 512 x 2^-24 = 3e-5 of
    itself at worst, and to about 3e-7 in practice.
Rejected: none tried.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel

ROWS = 160  # samples along the side of a tile: blocks of a larger matrix start at multiples of it
PART = 512  # neurons of a sum in working precision


@kernel(parallel=True)
def add_sums(A, B, count, tiles, scratch, S):
    """S (tasks, 160, 160) += the sums over `count` neurons; tiles (tasks, 2) holds first samples."""
    for task in numba.prange(tiles.shape[0]):
        left, right = A[tiles[task, 0] // ROWS], B[tiles[task, 1] // ROWS]
        part = scratch[numba.get_thread_id()]
        for first in range(0, count, PART):
            last = min(first + PART, count)
            np.dot(left[first:last].T, right[first:last], part)
            for i in range(ROWS):
                for j in range(ROWS):
                    S[task, i, j] += part[i, j]


@kernel(parallel=True)
def expand(bits, start, n, weights, first, count, out):
    """out[block, k, i] = weights[k] M[start + 160 block + i, first + k] for `count` neurons and n samples."""
    for block in numba.prange(-(-n // ROWS)):
        for i in range(min(ROWS, n - block * ROWS)):
            sample = start + block * ROWS + i
            row, bit = sample // 8, np.uint8(sample % 8)
            for k in range(count):
                active = (bits[row, first + k] >> bit) & np.uint8(1)
                out[block, k, i] = weights[k] if active else 0.0
