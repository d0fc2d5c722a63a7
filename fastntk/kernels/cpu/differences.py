"""Sums of squares of two matrices and of their difference, which may be written in single precision.

Formula: ``sum (h - a)^2, sum h^2, sum a^2`` over a row; ``e = h - a``.
Layout: H, A (n, n); E (n, columns), columns at least n; sums (n, 3).
Owner: a task has some rows, their sums and their part of what is written.
Cost: 3 multiply-adds an entry.
Bound: memory.
Machine: any; vectors of sixteen lanes.
Accumulation: float64, sixteen sums a row.
Rejected: blocks of NumPy (four passes over each block, 1.3 ms instead of 0.3 at n = 1000).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import load, multiply_add, total, widened, zeros

ROWS = 16  # of a task


@kernel
def row_sums(h, a, first, n):
    """Sums of ``(h - a)^2``, ``h^2`` and ``a^2`` over n entries from `first` of flat arrays, a in either precision."""
    apart, left, right, whole = zeros(h), zeros(h), zeros(h), first + n // 16 * 16
    for at in range(first, whole, 16):
        x, y = load(h, at), widened(load(a, at))
        apart = multiply_add(x - y, x - y, apart)
        left, right = multiply_add(x, x, left), multiply_add(y, y, right)
    sums = total(apart), total(left), total(right)
    for at in range(whole, first + n):
        x, y = h[at], np.float64(a[at])
        sums = sums[0] + (x - y) * (x - y), sums[1] + x * x, sums[2] + y * y
    return sums


@kernel(parallel=True)
def square_sums(H, A, E, sums):
    """H, A, sums float64; E = H - A is float32, or has no rows and is not written."""
    n, h, a, e = H.shape[0], H.reshape(-1), A.reshape(-1), E.reshape(-1)
    for task in numba.prange((n + ROWS - 1) // ROWS):
        for i in range(ROWS * task, min(ROWS * task + ROWS, n)):
            sums[i] = row_sums(h, a, i * n, n)
            # signed indices would not become vectors
            source, target = np.uint64(i * n), np.uint64(i * E.shape[1])
            for j in range(np.uint64(n) if E.shape[0] > 0 else np.uint64(0)):
                e[target + j] = h[source + j] - a[source + j]


@kernel(parallel=True)
def add(E, B):
    """E += B, both (n, columns) float32."""
    n, e, b = E.shape[0], E.reshape(-1), B.reshape(-1)
    for task in numba.prange((n + ROWS - 1) // ROWS):
        first, last = ROWS * task * E.shape[1], min(ROWS * task + ROWS, n) * E.shape[1]
        for at in range(np.uint64(first), np.uint64(last)):
            e[at] += b[at]
