"""Symmetric matrices: how far from it they are, shifted copies, diagonals, and the size of them and of their changes.

Layout: row-major; threads walk through the entries in steps of the grid. Members of a batch (members, n, n) along y.
Cost: every entry read once, bound by memory bandwidth; in `asymmetry` and `symmetrise` the mirror image of an entry is
    read out of line, eight times the traffic: once for each matrix of a user, so not worth a tile in shared memory.
Accumulation: float64; a share for each block, 256 interleaved sums of a fixed number of blocks, added in order.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.reductions import THREADS

_EACH = 16  # entries of a thread, so that small matrices take few blocks
_MOST_BLOCKS = 1024


def blocks(entries):
    """Shares that `asymmetry` and `squares` give for so many entries."""
    return min(-(-entries // (_EACH * THREADS)), _MOST_BLOCKS)


@kernel
def asymmetry_kernel(A, shares):
    """See `asymmetry`."""
    peaks = cuda.shared.array((2, THREADS), np.float64)
    thread = cuda.threadIdx.x
    n = A.shape[0]
    difference, largest = 0.0, 0.0
    for k in range(cuda.grid(1), n * n, cuda.gridsize(1)):
        i, j = k // n, k % n
        value = np.float64(A[i, j])
        largest = max(largest, abs(value))
        if j < i:
            difference = max(difference, abs(value - np.float64(A[j, i])))
    peaks[0, thread] = difference
    peaks[1, thread] = largest
    cuda.syncthreads()
    if thread < 2:
        peak = 0.0
        for t in range(THREADS):
            peak = max(peak, peaks[thread, t])
        shares[cuda.blockIdx.x, thread] = peak


def asymmetry(A, shares, stream=0):
    """shares (blocks, 2): largest |A_ij - A_ji| and |A_ij| of the entries of each block; A (n, n) holds no NaN."""
    asymmetry_kernel[shares.shape[0], THREADS, stream](A, shares)


@kernel
def symmetrise_kernel(A, out):
    """See `symmetrise`."""
    n = A.shape[0]
    for k in range(cuda.grid(1), n * n, cuda.gridsize(1)):
        i, j = k // n, k % n
        out[i, j] = (A[i, j] + A[j, i]) / 2.0


def symmetrise(A, out, stream=0):
    """out = (A + A^T) / 2."""
    symmetrise_kernel[blocks(A.size), THREADS, stream](A, out)


@kernel
def shifted_kernel(A, sign, shift, out):
    """See `shifted`."""
    n = A.shape[0]
    for k in range(cuda.grid(1), n * n, cuda.gridsize(1)):
        i, j = k // n, k % n
        value = sign * A[i, j]
        out[i, j] = value - shift if i == j else value


def shifted(A, sign, shift, out, stream=0):
    """out = sign A - shift I."""
    shifted_kernel[blocks(A.size), THREADS, stream](A, sign, shift, out)


@kernel
def diagonal_kernel(A, out):
    """See `diagonal`."""
    i = cuda.grid(1)
    if i < out.shape[0]:
        out[i] = A[i, i]


def diagonal(A, out, stream=0):
    """out (n,) = the diagonal of A."""
    diagonal_kernel[-(-out.shape[0] // THREADS), THREADS, stream](A, out)


@kernel
def squares_kernel(H, before, shares):
    """See `squares`."""
    sums = cuda.shared.array((2, THREADS), np.float64)
    thread, b = cuda.threadIdx.x, cuda.blockIdx.y
    n = H.shape[1]
    whole, change = 0.0, 0.0
    for k in range(cuda.blockIdx.x * THREADS + thread, n * n, cuda.gridDim.x * THREADS):
        i, j = k // n, k % n
        value = H[b, i, j]
        whole += value * value
        value -= before[i, j] if b == 0 else H[b - 1, i, j]
        change += value * value
    sums[0, thread] = whole
    sums[1, thread] = change
    cuda.syncthreads()
    if thread < 2:
        total = 0.0
        for t in range(THREADS):
            total += sums[thread, t]
        shares[cuda.blockIdx.x, 2 * b + thread] = total


def squares(H, before, shares, stream=0):
    """Shares (blocks, 2 members) of |H_b|_F^2 and |H_b - H_(b-1)|_F^2 for H (members, n, n); H_(-1) is `before`."""
    squares_kernel[(shares.shape[0], H.shape[0]), THREADS, stream](H, before, shares)


@kernel
def columns_kernel(rows, order, out):
    """See `columns`."""
    peaks = cuda.shared.array(THREADS, np.float64)
    thread, q = cuda.threadIdx.x, cuda.blockIdx.x
    n, row = rows.shape[1], order[q]
    peak = 0.0
    for i in range(thread, n, THREADS):
        if abs(rows[row, i]) > abs(peak):
            peak = rows[row, i]
    peaks[thread] = peak
    cuda.syncthreads()
    peak = 0.0
    for t in range(THREADS):
        if abs(peaks[t]) > abs(peak):
            peak = peaks[t]
    for i in range(thread, n, THREADS):
        out[i, q] = -rows[row, i] if peak < 0.0 else rows[row, i]


def columns(rows, order, out, stream=0):
    """out[:, q] = rows[order[q]], with the sign that makes the entry largest in size positive."""
    columns_kernel[order.shape[0], THREADS, stream](rows, order, out)


@kernel
def scale_rows_kernel(rows, factors, out):
    """See `scale_rows`."""
    i, q = cuda.grid(1), cuda.blockIdx.y
    if i < rows.shape[1]:
        out[q, i] = factors[q] * rows[q, i]


def scale_rows(rows, factors, out, stream=0):
    """out = factors[:, None] * rows, for fewer than 65536 rows."""
    scale_rows_kernel[(-(-rows.shape[1] // THREADS), rows.shape[0]), THREADS, stream](rows, factors, out)


@kernel
def transpose_kernel(A, out):
    """See `transpose`."""
    columns = A.shape[1]
    for k in range(cuda.grid(1), A.size, cuda.gridsize(1)):
        out[k % columns, k // columns] = A[k // columns, k % columns]


def transpose(A, out, stream=0):
    """out = A^T, for what is done once: the writes are out of line."""
    transpose_kernel[blocks(A.size), THREADS, stream](A, out)
