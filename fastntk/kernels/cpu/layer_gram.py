"""Products of all pairs of columns, ``S_ij = sum_r A_ri A_rj``, in float64 from sums in working precision.

Layout: A (neurons, 16 tiles of samples) row-major.
Owner: a task has a pair of blocks of SIDE samples, left <= top, and writes it with its mirror image, so S is exactly
    symmetric.
Cost: n^2 m / 2 multiply-adds of BLAS, and half a block more for every block on the diagonal.
Bound: these products.
Machine: Zen 5, 2 cores.
Accumulation: BLAS in working precision over PART neurons at a time; those sums in float64 in the order of the neurons.
Rejected: none tried.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.gemm import gemm

SIDE = 256
PART = 1024


@kernel(parallel=True)
def column_products(A, pairs, part, sums, out):
    """out (n, n); pairs (tasks, 2) of blocks; part and sums (threads, SIDE, SIDE): scratch."""
    m, n = A.shape[0], out.shape[0]
    for task in numba.prange(pairs.shape[0]):
        slot = numba.get_thread_id()
        top, left = SIDE * pairs[task, 0], SIDE * pairs[task, 1]
        bottom, right = min(n, top + SIDE), min(n, left + SIDE)
        height, width = bottom - top, right - left
        here, total = part[slot, :height, :width], sums[slot]
        for i in range(height):
            for j in range(width):
                total[i, j] = 0.0
        for first in range(0, m, PART):
            last = min(m, first + PART)
            gemm(True, False, 1.0, A[first:last, top:bottom], A[first:last, left:right], 0.0, here)
            for i in range(height):
                for j in range(width):
                    total[i, j] += np.float64(here[i, j])
        diagonal = top == left
        for i in range(height):
            for j in range(i + 1 if diagonal else width):
                out[top + i, left + j] = total[i, j]
        for j in range(width):
            for i in range(j if diagonal else 0, height):
                out[left + j, top + i] = total[i, j]
