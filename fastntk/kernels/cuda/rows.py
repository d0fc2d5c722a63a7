"""Lengths of the rows of a matrix and their products with one vector, in float64.

Layout: X row-major; a warp's worth of threads owns a row, so reads are whole lines; eight rows a block.
Cost: 2 n d multiply-adds. Bound: memory, X read once.
Accumulation: float64 in 32 interleaved sums, added in order; equal rows give equal bits.
"""

import math

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cpu.rows import TINY

_LANES, _ROWS = 32, 8


@kernel
def row_lengths_kernel(X, direction, squares, lengths, projections):
    """See `row_lengths`."""
    sums = cuda.shared.array((_ROWS, _LANES), np.float64)
    products = cuda.shared.array((_ROWS, _LANES), np.float64)
    lane, row = cuda.threadIdx.x, cuda.threadIdx.y
    i = cuda.blockIdx.x * _ROWS + row
    n, d = X.shape
    total, product = 0.0, 0.0
    if i < n:
        for c in range(lane, d, _LANES):
            value = np.float64(X[i, c])
            total += value * value
            product += value * direction[c]
    sums[row, lane], products[row, lane] = total, product
    cuda.syncthreads()
    if lane == 0 and i < n:
        for k in range(1, _LANES):
            total += sums[row, k]
            product += products[row, k]
        squares[i], projections[i] = total, product
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


def row_lengths(X, direction, squares, lengths, projections, stream=0):
    """squares |x|^2, lengths |x| and projections x.direction of the rows of X (n, d), all float64."""
    grid = -(-X.shape[0] // _ROWS)
    row_lengths_kernel[grid, (_LANES, _ROWS), stream](X, direction, squares, lengths, projections)
