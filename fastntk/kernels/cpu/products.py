"""Products of the samples, ``K = X X^T``.

Layout: X row-major; a task owns a pair of blocks of rows: one single-threaded BLAS product into scratch,
    written together with its mirror image, so K is exactly symmetric.
Cost: n^2 d / 2 multiply-adds of BLAS, the bound; 8 n^2 bytes written.
Accumulation: float64, BLAS over columns.
Rejected: one multi-threaded BLAS call (its idle workers spin on the cores that the next kernel needs).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel


@kernel(parallel=True)
def products(X, pairs, scratch, out):
    """out (n, n); pairs (tasks, 2) lists the pairs of blocks; scratch (threads, rows, rows)."""
    n, rows = X.shape[0], scratch.shape[1]
    for task in numba.prange(pairs.shape[0]):
        top, left = rows * pairs[task, 0], rows * pairs[task, 1]
        height, width = min(rows, n - top), min(rows, n - left)
        tile = scratch[numba.get_thread_id()].reshape(-1)[: height * width].reshape(height, width)
        np.dot(X[top : top + height], X[left : left + width].T, tile)
        for i in range(height):
            for j in range(i if top == left else 0, width):
                out[top + i, left + j] = tile[i, j]
                out[left + j, top + i] = tile[i, j]
