"""Lengths of the rows of a matrix, in float64.

Layout: X row-major; a warp's worth of threads owns a row, so reads are whole lines; eight rows a block.
Cost: n d multiply-adds, bound by reading X once.
Accumulation: float64 in 32 interleaved sums, added in order; equal rows give equal bits.
"""

import math

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cpu.rows import TINY

_LANES, _ROWS = 32, 8


@kernel
def row_lengths_kernel(X, squares, lengths):
    """See `row_lengths`."""
    sums = cuda.shared.array((_ROWS, _LANES), np.float64)
    lane, row = cuda.threadIdx.x, cuda.threadIdx.y
    i = cuda.blockIdx.x * _ROWS + row
    n, d = X.shape
    total = 0.0
    if i < n:
        for c in range(lane, d, _LANES):
            value = np.float64(X[i, c])
            total += value * value
    sums[row, lane] = total
    cuda.syncthreads()
    if lane == 0 and i < n:
        for k in range(1, _LANES):
            total += sums[row, k]
        squares[i] = total
        length = math.sqrt(total)
        if total <= TINY:  # squares have lost digits, or everything, to underflow
            peak = 0.0
            for c in range(d):
                peak = max(peak, abs(np.float64(X[i, c])))
            scaled = 0.0
            if peak > 0.0:
                for c in range(d):
                    scaled += (np.float64(X[i, c]) / peak) ** 2
            length = peak * math.sqrt(scaled)
        lengths[i] = length


def row_lengths(X, squares, lengths, stream=0):
    """squares |x|^2 and lengths |x| of the rows of X (n, d), both (n,) float64."""
    row_lengths_kernel[-(-X.shape[0] // _ROWS), (_LANES, _ROWS), stream](X, squares, lengths)
