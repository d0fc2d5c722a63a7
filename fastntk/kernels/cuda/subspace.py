"""The steps of a subspace iteration (`fastntk.spectra.subspace`) for a batch of matrices at the same time.

Layout: matrices (members, n, n); bases and their images (members, capacity, n), vectors as rows; members along y.
    In `products` 32 threads own a row of a matrix, which they read as whole lines, for up to 8 vectors at once; in
    `orthonormalise` a block owns a member, because every dot product waits for the one before it.
Cost of a round with one new vector, by arithmetic for an H200 and 64 members of n = 1000: the matrices are read once,
    512 MB, 0.11 ms of memory traffic whatever the number of vectors up to 8, 0.2 ms with as many loads under way as
    registers allow (512 threads a multiprocessor, 4 each); the basis of 32 rows six times by `orthonormalise`, from the
    second-level cache, 0.05 ms of latency; four launches, up to 30 microseconds each in Python.  So about 0.3 ms for 64
    steps of a run, 5 microseconds a step; one member alone takes half of it.
Accumulation: float64 everywhere, in 32 or 256 interleaved sums that are added in order.
Rejected: cuBLAS's batched products, which are bound by memory alike, and a tree of shuffles (not in the common subset).
"""

import math

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel

BLOCK = 8  # vectors of one product
CAPACITY = 64  # rows of a basis at most
_LANES, _ROWS = 32, 8
_THREADS = _LANES * _ROWS
_PITCH = _LANES + 1  # so that no two threads of a warp meet in a bank
_AHEAD = 4  # numbers that a thread asks for before it waits for the first
_NOTHING = 1e-12  # of a unit vector: rounding is left, the direction is already in the subspace


@kernel
def products_kernel(H, R, subtracted, V, first, count, out):
    """See `products`."""
    shares = cuda.shared.array((_ROWS, BLOCK, _PITCH), np.float64)
    sums = cuda.local.array(BLOCK, np.float64)
    values = cuda.local.array(_AHEAD, np.float64)
    lane, row, b = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockIdx.y
    i = cuda.blockIdx.x * _ROWS + row
    n = H.shape[1]
    for q in range(BLOCK):
        sums[q] = 0.0
    if i < n:
        for start in range(lane, n, _AHEAD * _LANES):
            for k in range(_AHEAD):
                values[k] = H[b, i, min(start + k * _LANES, n - 1)]
            if subtracted:
                for k in range(_AHEAD):
                    values[k] -= R[i, min(start + k * _LANES, n - 1)]
            for k in range(_AHEAD):
                if start + k * _LANES >= n:
                    values[k] = 0.0
            for q in range(BLOCK):
                if q < count:
                    for k in range(_AHEAD):
                        sums[q] += values[k] * V[b, first + q, min(start + k * _LANES, n - 1)]
    for q in range(BLOCK):
        shares[row, q, lane] = sums[q]
    cuda.syncthreads()
    if lane < count and i < n:
        total = 0.0
        for k in range(_LANES):
            total += shares[row, lane, k]
        out[b, first + lane, i] = total


def products(H, R, subtracted, V, first, count, out, stream=0):
    """out[b, q] = H_b V[b, q] for first <= q < first + count, of (H_b - R) if `subtracted`; count at most 8."""
    grid = -(-H.shape[1] // _ROWS), H.shape[0]
    products_kernel[grid, (_LANES, _ROWS), stream](H, R, subtracted, V, first, count, out)


@kernel
def orthonormalise_kernel(Z, count, V, size, kept):
    """See `orthonormalise`."""
    shares = cuda.shared.array((_ROWS, _LANES), np.float64)
    along = cuda.shared.array(CAPACITY, np.float64)
    lane, row, b = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockIdx.x
    thread = row * _LANES + lane
    n = V.shape[2]
    for q in range(count):
        new = size + q
        for i in range(thread, n, _THREADS):
            V[b, new, i] = Z[b, q, i]
        for again in range(3):  # unit length first, then what lies in the basis is taken out twice
            cuda.syncthreads()
            if again > 0:
                for start in range(0, new, _ROWS):
                    j = start + row
                    total = 0.0
                    if j < new:
                        for i in range(lane, n, _LANES):
                            total += V[b, j, i] * V[b, new, i]
                    shares[row, lane] = total
                    cuda.syncthreads()
                    if lane == 0 and j < new:
                        for k in range(1, _LANES):
                            total += shares[row, k]
                        along[j] = total
                    cuda.syncthreads()
                for i in range(thread, n, _THREADS):
                    value = V[b, new, i]
                    for j in range(new):
                        value -= along[j] * V[b, j, i]
                    V[b, new, i] = value
            total = 0.0
            for i in range(thread, n, _THREADS):
                total += V[b, new, i] * V[b, new, i]
            shares[row, lane] = total
            cuda.syncthreads()
            if lane == 0:
                for k in range(1, _LANES):
                    total += shares[row, k]
                shares[row, 0] = total
            cuda.syncthreads()
            length = 0.0
            for k in range(_ROWS):
                length += shares[k, 0]
            length = math.sqrt(length)
            factor = 1.0 / length if length > (_NOTHING if again == 1 else 0.0) else 0.0
            for i in range(thread, n, _THREADS):
                V[b, new, i] *= factor
        cuda.syncthreads()
        if thread == 0:
            kept[b, new] = 1 if factor > 0.0 else 0


def orthonormalise(Z, count, V, size, kept, stream=0):
    """V[b, size + q] = unit vector of Z[b, q] without its part along V[b, :size + q], q < count; kept[b, size + q] = 1.

    Zero, and kept 0, where nothing but rounding would be left.
    """
    orthonormalise_kernel[V.shape[0], (_LANES, _ROWS), stream](Z, count, V, size, kept)


@kernel
def projected_kernel(V, images, size, G):
    """See `projected`."""
    shares = cuda.shared.array((_ROWS, _PITCH), np.float64)
    lane, row = cuda.threadIdx.x, cuda.threadIdx.y
    i, b = cuda.blockIdx.x, cuda.blockIdx.y
    for start in range(0, size, _ROWS):
        j = start + row
        total = 0.0
        if j < size:
            for c in range(lane, V.shape[2], _LANES):
                total += V[b, i, c] * images[b, j, c]
        shares[row, lane] = total
        cuda.syncthreads()
        if lane == 0 and j < size:
            for k in range(1, _LANES):
                total += shares[row, k]
            G[b, i, j] = total
        cuda.syncthreads()


def projected(V, images, size, G, stream=0):
    """G[b, i, j] = V[b, i] . images[b, j] for i, j < size."""
    projected_kernel[(size, V.shape[0]), (_LANES, _ROWS), stream](V, images, size, G)


@kernel
def compress_kernel(C, size, V):
    """See `compress`."""
    sums = cuda.local.array(BLOCK, np.float64)
    i, b = cuda.grid(1), cuda.blockIdx.y
    rows = C.shape[1]
    if i < V.shape[2]:
        for q in range(BLOCK):
            sums[q] = 0.0
        for j in range(size):
            value = V[b, j, i]
            for q in range(BLOCK):
                if q < rows:
                    sums[q] += C[b, q, j] * value
        for q in range(BLOCK):
            if q < rows:
                V[b, q, i] = sums[q]


def compress(C, size, V, stream=0):
    """V[b, q] = sum_j C[b, q, j] V[b, j] over j < size, in place, for the rows q of C, at most 8."""
    compress_kernel[(-(-V.shape[2] // _THREADS), V.shape[0]), _THREADS, stream](C, size, V)


@kernel
def residuals_kernel(values, V, images, first, Z, norms):
    """See `residuals`."""
    shares = cuda.shared.array(_THREADS, np.float64)
    thread, q, b = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    total = 0.0
    for i in range(thread, V.shape[2], _THREADS):
        value = images[b, first + q, i] - values[b, q] * V[b, first + q, i]
        Z[b, q, i] = value
        total += value * value
    shares[thread] = total
    cuda.syncthreads()
    if thread == 0:
        for t in range(1, _THREADS):
            total += shares[t]
        norms[b, q] = math.sqrt(total)


def residuals(values, V, images, first, count, Z, norms, stream=0):
    """Z[b, q] = images[b, first + q] - values[b, q] V[b, first + q] for q < count, and their norms (members, 8)."""
    residuals_kernel[(count, V.shape[0]), _THREADS, stream](values, V, images, first, Z, norms)


@kernel
def quotients_kernel(V, images, values, norms):
    """See `quotients`."""
    shares = cuda.shared.array((2, _THREADS), np.float64)
    thread, q, b = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    length, form = 0.0, 0.0
    for i in range(thread, V.shape[2], _THREADS):
        length += V[b, q, i] * V[b, q, i]
        form += V[b, q, i] * images[b, q, i]
    shares[0, thread] = length
    shares[1, thread] = form
    cuda.syncthreads()
    length, form = 0.0, 0.0
    for t in range(_THREADS):
        length += shares[0, t]
        form += shares[1, t]
    value = form / length
    cuda.syncthreads()
    total = 0.0
    for i in range(thread, V.shape[2], _THREADS):
        difference = images[b, q, i] - value * V[b, q, i]
        total += difference * difference
    shares[0, thread] = total
    cuda.syncthreads()
    if thread == 0:
        for t in range(1, _THREADS):
            total += shares[0, t]
        values[b, q] = value
        norms[b, q] = math.sqrt(total) / math.sqrt(length)


def quotients(V, images, count, values, norms, stream=0):
    """Rayleigh quotients of V[b, q] and |images - value V| / |V| for q < count, from their images."""
    quotients_kernel[(count, V.shape[0]), _THREADS, stream](V, images, values, norms)
