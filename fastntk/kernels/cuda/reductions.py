"""What is left of the sums over blocks, in a fixed order: outputs, squared lengths, the largest of them.

Layout: shares (blocks, columns) row-major; a thread owns a column, neighbours read neighbours.
Cost: the shares are read once, 8 bytes each; one share stands for 128 neurons, so this is at most a sixtieth of a
    pass over the pre-activations.
Accumulation: float64; in `column_sums` eight interleaved sums per column, added in order.
"""

import math

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel

_COLUMNS, _STRANDS = 32, 8
THREADS = 256


@kernel
def column_sums_kernel(shares, factor, out):
    """See `column_sums`."""
    strands = cuda.shared.array((_STRANDS, _COLUMNS), np.float64)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    column = cuda.blockIdx.x * _COLUMNS + x
    total = 0.0
    if column < out.size:
        for row in range(y, shares.shape[0], _STRANDS):
            total += shares[row, column]
    strands[y, x] = total
    cuda.syncthreads()
    if y == 0 and column < out.size:
        whole = 0.0
        for k in range(_STRANDS):
            whole += strands[k, x]
        out[column] = factor * whole


def column_sums(shares, factor, out, stream=0):
    """out[i] = factor * sum over rows of shares[:, i], for as many columns as out (float64) has elements."""
    column_sums_kernel[-(-out.size // _COLUMNS), (_COLUMNS, _STRANDS), stream](shares, factor, out)


@kernel
def add_shares_kernel(shares, totals):
    """See `add_shares`."""
    r = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if r < totals.size:
        total = 0.0
        for part in range(shares.shape[0]):
            total += shares[part, r]
        totals[r] += total


def add_shares(shares, totals, stream=0):
    """totals += shares.sum(axis=0), in float64: what the squared lengths of the dual engine gain in a step."""
    add_shares_kernel[-(-totals.size // THREADS), THREADS, stream](shares, totals)


def _largest_kernel(root):
    """The root of the largest of values that stand for squares, or the largest magnitude."""

    @kernel
    def largest_kernel(values, count, out, k):
        """See `largest_root` and `largest_magnitude`."""
        peaks = cuda.shared.array(THREADS, np.float64)
        thread = cuda.threadIdx.x
        peak = 0.0
        for r in range(thread, count, THREADS):
            value = values[r] if root else abs(values[r])
            if not value <= peak and peak == peak:  # a NaN takes over, and stays
                peak = value
        peaks[thread] = peak
        cuda.syncthreads()
        if thread == 0:
            for t in range(1, THREADS):
                if not peaks[t] <= peak and peak == peak:
                    peak = peaks[t]
            out[k] = math.sqrt(peak) if root else peak

    return largest_kernel


largest_root_kernel = _largest_kernel(True)
largest_magnitude_kernel = _largest_kernel(False)


def largest_root(squares, count, out, k, stream=0):
    """out[k] = sqrt(max(0, squares[0], ..., squares[count - 1])): the drift, from squared lengths. NaN stays NaN."""
    largest_root_kernel[1, THREADS, stream](squares, count, out, k)


def largest_magnitude(values, count, out, k, stream=0):
    """out[k] = max(|values[0]|, ..., |values[count - 1]|): the drift of a vector, from its change. NaN stays NaN."""
    largest_magnitude_kernel[1, THREADS, stream](values, count, out, k)
