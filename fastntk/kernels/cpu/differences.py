"""Sums of squares of two matrices and of their difference, which may be written in single precision.

Formula: ``sum (h - a)^2, sum h^2, sum a^2`` over a range of entries.
Layout: contiguous matrices, as one row of numbers; sums (ranges, 3).
Owner: a task has a range of entries, its sums and its part of the difference.
Cost: 3 multiply-adds an entry.
Bound: memory.
Machine: any; vectors of sixteen lanes.
Accumulation: float64, sixteen sums a range; ranges are of fixed size.
Rejected: blocks of NumPy (four passes over each block, 1.3 ms instead of 0.3 at n = 1000).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import load, multiply_add, total, zeros

RANGE = 2**14


@kernel
def range_sums(H, A, first, last, sums):
    """sums (3,) of the entries ``first ... last - 1``."""
    apart, left, right = zeros(H), zeros(H), zeros(H)
    whole = first + (last - first) // 16 * 16
    for at in range(first, whole, 16):
        h, a = load(H, at), load(A, at)
        apart = multiply_add(h - a, h - a, apart)
        left, right = multiply_add(h, h, left), multiply_add(a, a, right)
    sums[0], sums[1], sums[2] = total(apart), total(left), total(right)
    for at in range(whole, last):
        sums[0] += (H[at] - A[at]) * (H[at] - A[at])
        sums[1] += H[at] * H[at]
        sums[2] += A[at] * A[at]


@kernel(parallel=True)
def square_sums(H, A, out, sums):
    """H, A flat float64; out flat float32 of as many entries, or of none; sums (ranges of `RANGE` entries, 3)."""
    for part in numba.prange(sums.shape[0]):
        first, last = part * RANGE, min((part + 1) * RANGE, H.size)
        range_sums(H, A, first, last, sums[part])
        if out.size > 0:
            for at in range(np.uint64(first), np.uint64(last)):  # signed indices would not become vectors
                out[at] = H[at] - A[at]
