"""Ritz pairs of a symmetric matrix in a subspace that grows: the searches of `fastntk.spectra`, free of Python.

Formula: with orthonormal rows R and ``Q = R M``, the eigenvectors of ``P = R Q^T`` give the best vectors in the span.
Layout: M (n, columns), zeros behind each row if columns > n; R, Q (capacity, columns) of its precision;
    P (capacity, capacity) float64.
Owner: a task has four rows of M in a product; all else is of one thread.
Cost: n^2 multiply-adds a product, O(n k) beside for k rows.
Bound: memory; several vectors cost little more than one.
Machine: any; vectors of sixteen lanes.
Accumulation: in the precision of M, sixteen sums an inner product; P and its eigenvectors in float64.
Rejected: the same by NumPy (as long again between products); products of BLAS (0.2 ms for five vectors at n = 1000 in
    float32); rows that begin within a cache line (half as long again); two searches side by side, a thread each (twice
    the memory in use, and the shorter one waits).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import load, multiply_add, total, zeros

FOLLOW, FOLLOW_NEXT = 2, 1  # passes over the matrix between two looks at the spectrum of a difference


@kernel
def four_by_two(m, columns, i, v, r, other, Q):
    """Q[r] and Q[other] at four rows of M from i, of the vectors at these rows of R."""
    s0, s1, s2, s3 = zeros(m), zeros(m), zeros(m), zeros(m)
    t0, t1, t2, t3 = zeros(m), zeros(m), zeros(m), zeros(m)
    row, left, right, whole = i * columns, r * columns, other * columns, columns // 16 * 16
    for at in range(0, whole, 16):
        x, y = load(v, left + at), load(v, right + at)
        m0, m1 = load(m, row + at), load(m, row + columns + at)
        m2, m3 = load(m, row + 2 * columns + at), load(m, row + 3 * columns + at)
        s0, t0 = multiply_add(m0, x, s0), multiply_add(m0, y, t0)
        s1, t1 = multiply_add(m1, x, s1), multiply_add(m1, y, t1)
        s2, t2 = multiply_add(m2, x, s2), multiply_add(m2, y, t2)
        s3, t3 = multiply_add(m3, x, s3), multiply_add(m3, y, t3)
    Q[r, i], Q[other, i] = total(s0), total(t0)
    Q[r, i + 1], Q[other, i + 1] = total(s1), total(t1)
    Q[r, i + 2], Q[other, i + 2] = total(s2), total(t2)
    Q[r, i + 3], Q[other, i + 3] = total(s3), total(t3)
    for at in range(whole, columns):
        x, y = v[left + at], v[right + at]
        for k in range(4):
            Q[r, i + k] += m[row + k * columns + at] * x
            if other != r:
                Q[other, i + k] += m[row + k * columns + at] * y


@kernel(parallel=True)
def images(M, R, first, last, Q):
    """``Q = R M`` for the rows from `first`; M is symmetric and has four rows at least."""
    n, columns = M.shape
    for task in numba.prange((n + 3) // 4):
        i = min(4 * task, n - 4)  # the last rows may be computed twice, to the same bits
        for r in range(first, last, 2):
            four_by_two(M.reshape(-1), columns, i, R.reshape(-1), r, min(r + 1, last - 1), Q)


multiply = images.dispatcher  # for kernels that launch it


@kernel
def settle(R, size, vector):
    """Whether `vector` adds to the span of the first rows of R; if so its new direction is the next row."""
    known, length = R[:size], np.sqrt(np.dot(vector, vector))
    if size == R.shape[0] or not length > 0.0:
        return False
    row = vector / length
    for _ in range(2):
        row = row - np.dot(np.dot(known, row), known)
        length = np.sqrt(np.dot(row, row))
        if not length > 100.0 * np.finfo(R.dtype).eps:  # nothing but rounding is left
            return False
        row = row / length
    R[size] = row
    return True


@kernel
def project(R, Q, P, first, last):
    """The entries of P that belong to the rows from `first`."""
    for j in range(first, last):
        for i in range(j + 1):
            value = np.float64(np.dot(R[i], Q[j]))
            if i >= first:
                value = 0.5 * (value + np.dot(R[j], Q[i]))
            P[i, j] = P[j, i] = value


@kernel
def rotate(R, Q, P, size, chosen):
    """Keep the span of some vectors, given by their coefficients (k, size), as the first k rows."""
    count = chosen.shape[0]
    rows, products = np.dot(chosen, R[:size]), np.dot(chosen, Q[:size])
    R[:count], Q[:count] = rows, products
    project(R, Q, P, 0, count)


@kernel
def ritz(P, size, kind):
    """Values, ascending, and the coefficients of their vectors as rows, in the precision of the array `kind`."""
    values, vectors = np.linalg.eigh(P[:size, :size].copy())
    return values, np.ascontiguousarray(vectors.T).astype(kind.dtype)


@kernel
def begin(M, block, R, Q, P):
    """Take the rows of `block`, as far as they are independent; how many they are."""
    size = 0
    for r in range(block.shape[0]):
        size += settle(R, size, block[r])
    multiply(M, R, 0, size, Q)
    project(R, Q, P, 0, size)
    return size


@kernel
def grow(M, R, Q, P, size, directions):
    """The new number of rows: more by as many of the directions as add any."""
    grown = size
    for r in range(directions.shape[0]):
        grown += settle(R, grown, directions[r])
    multiply(M, R, size, grown, Q)
    project(R, Q, P, size, grown)
    return grown


@kernel
def residual(R, Q, size, value, coefficients):
    """``M v - value v`` of a Ritz pair."""
    return np.dot(coefficients, Q[:size]) - R.dtype.type(value) * np.dot(coefficients, R[:size])


@kernel(launches=True)
def lowest(M, inverse, block, R, Q, P, rtol, floor, limit):
    """Improve `block` until its lowest pair has a residual within ``max(rtol |value|, floor)``, by `limit` products.

    inverse, of the layout of M, maps residuals to new directions; without entries it is left out.  The first rows of
    R are the new block.  Returns their values, the residual, the rounds and whether that was enough.
    """
    size, rounds = begin(M, block, R, Q, P), 0
    count, turned = size, np.zeros((1, R.shape[1]), R.dtype)
    while True:
        values, vectors = ritz(P, size, R)
        apart = residual(R, Q, size, values[0], vectors[0])
        length = np.float64(np.sqrt(np.dot(apart, apart)))
        converged = length <= max(rtol * abs(values[0]), floor)
        if converged or rounds == limit:
            break
        if size == R.shape[0] and size < M.shape[0]:
            rotate(R, Q, P, size, vectors[:count].copy())
            size = count
        if inverse.size > 0:
            multiply(inverse, (apart / R.dtype.type(length)).reshape(1, -1), 0, 1, turned)
            apart = turned[0]
        grown = grow(M, R, Q, P, size, apart.reshape(1, -1))
        if grown == size:
            values, vectors = ritz(P, size, R)
            break
        size, rounds = grown, rounds + 1
    rotate(R, Q, P, size, vectors[:count].copy())
    return values[:count].copy(), length, rounds, converged


@kernel(launches=True)
def furthest(M, block, R, Q, P, p, rtol, floor, limit):
    """Improve `block` until the pair of the largest absolute value is accurate, as `lowest`, by `limit` passes over M.

    Both ends are followed, p vectors each, which become the first rows of R; returns their values.  The residuals are
    followed by their images under M, so that the small problem is not solved for every vector.
    """
    size, follow = begin(M, block, R, Q, P), FOLLOW
    while True:
        values, vectors = ritz(P, size, R)
        most, wanted, directions = max(-values[0], values[-1]), 0, np.empty((2, R.shape[1]), R.dtype)
        for end in (0, size - 1):
            apart = residual(R, Q, size, values[end], vectors[end])
            length = np.float64(np.sqrt(np.dot(apart, apart)))
            # a search by size that has settled on one end would not look at the other, while that may reach as far
            if length > max(rtol * most, floor) and abs(values[end]) + length >= most:
                directions[wanted] = apart
                wanted += 1
        ends = np.concatenate((vectors[:p], vectors[-p:]))
        values = np.concatenate((values[:p], values[-p:]))
        if wanted == 0 or limit <= 0:
            break
        if size + 2 > R.shape[0] and size < M.shape[0]:
            rotate(R, Q, P, size, ends)
            size, ends = 2 * p, np.eye(2 * p).astype(R.dtype)
        known, directions = size, directions[:wanted]
        for _ in range(follow):
            grown = grow(M, R, Q, P, size, directions)
            if grown == size:
                break
            directions, size, limit = Q[size:grown].copy(), grown, limit - 1
        if size == known:
            break
        follow = FOLLOW_NEXT
    rotate(R, Q, P, ends.shape[1], ends)
    return values
