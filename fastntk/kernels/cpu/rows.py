"""One number or two from each row: its length, and its product with a fixed direction.

Layout: X row-major.
Owner: a task has a row.
Cost: 2 n d multiply-adds.
Bound: memory, X read once.
Machine: any; nothing here is measured on its own.
Accumulation: float64 in sixteen interleaved sums, added in order; equal rows give equal bits.
Rejected: einsum in float64 (one thread, a converted copy of float32 rows).
"""

import math

import numba
import numpy as np

from fastntk.compilation.jit import kernel

LANES = 16
TINY = 1e-200  # squares below this have lost digits, or everything, to underflow


@kernel
def scaled_length(row):
    """Length of a row whose squares underflow."""
    peak = 0.0
    for k in range(row.size):
        peak = max(peak, abs(np.float64(row[k])))
    square = 0.0
    if peak > 0.0:
        for k in range(row.size):
            square += (np.float64(row[k]) / peak) ** 2
    return peak * math.sqrt(square)


@kernel(parallel=True)
def row_lengths(X, direction, scratch, squares, lengths, projections):
    """squares |x|^2, lengths |x| and projections x . direction, all (n,) float64; scratch (threads, 2, LANES)."""
    n, d = X.shape
    for i in numba.prange(n):
        thread = numba.get_thread_id()
        sums, products = scratch[thread, 0], scratch[thread, 1]
        for q in range(LANES):
            sums[q] = products[q] = 0.0
        for k in range(0, d - LANES + 1, LANES):
            for q in range(LANES):
                x = np.float64(X[i, k + q])
                sums[q] += x * x
                products[q] += x * direction[k + q]
        square = product = 0.0
        for k in range(d - d % LANES, d):
            x = np.float64(X[i, k])
            square += x * x
            product += x * direction[k]
        for q in range(LANES):
            square += sums[q]
            product += products[q]
        squares[i], projections[i] = square, product
        lengths[i] = math.sqrt(square) if square > TINY else scaled_length(X[i])
