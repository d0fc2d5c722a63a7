"""One look at a matrix beside an earlier one: bounds of the norm of what is off the diagonal of their difference.

Formula: with E the difference without its diagonal and E_J sixty-four rows of it, ``G = E_J E_J^T`` and ``B = G -
    c I``, ``|E_J|_2^2 <= c + |B^2|_2^(1/2)``, c the mean of the diagonal of G, or ``|G|_2`` itself, where the norm of a
    matrix is at most the largest entry of its diagonal and the Frobenius norm of the rest; sums of squares of
    ``h - a`` and of ``h``.
Layout: H (n, n) float64, A in either precision; E_J [row][n up to a multiple of 16] and G in float32, scratch of each
    thread; H again in float32, in rows of that length, for searches.
Owner: a task has a block of rows and what is found of it.
Cost: 32 n^2 multiply-adds, in tiles of four rows by four.
Bound: multiply-add and memory alike.
Machine: any; vectors of sixteen lanes.
Accumulation: float32 in sixteen sums an entry of G, so off by less than ``n 2^-24 |e_a| |e_b|``; the rest in float64.
Rejected: a batched product of NumPy (0.8 ms for that of 40 rows at n = 1000, without the difference); blocks of 32
    rows (half the time, a bound a tenth wider: twice the factorisations in a run at m = 500); ``|G|_2`` alone (a
    third wider); sums first and blocks where those are not enough (mostly they are not: twice the time).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.differences import row_sums
from fastntk.kernels.cpu.lanes import load, multiply_add, total, zeros

ROWS = 64
BOUND, APART, SIZE = 0, 1, 2  # columns of what is found
EPS = 2.0**-23  # of float32
LOST = 1e-33  # more than squares below the range of float32 can come to in a square of G


@kernel
def look_at_rows(H, A, scale, first, single, E, found):
    """E = the rows from `first` of ``scale (H - A)`` without the diagonal, zero beyond both; `single` those of H."""
    n, columns = H.shape[0], E.shape[1]
    h, a, s, e = H.reshape(-1), A.reshape(-1), single.reshape(-1), E.reshape(-1)
    rows = min(ROWS, n - first)
    for x in range(np.uint64(ROWS * columns) if rows < ROWS else np.uint64(0)):
        e[x] = 0.0
    found[APART], found[SIZE] = 0.0, 0.0
    for i in range(rows):
        apart, size, _ = row_sums(h, a, (first + i) * n, n)
        found[APART], found[SIZE] = found[APART] + apart, found[SIZE] + size
        source, target = np.uint64((first + i) * n), np.uint64(i * columns)
        place = np.uint64((first + i) * columns)
        for j in range(np.uint64(n)):
            e[target + j] = scale * (h[source + j] - a[source + j])
        for j in range(np.uint64(n)):
            s[place + j] = h[source + j]
        for j in range(n, columns):
            E[i, j] = 0.0
        E[i, first + i] = 0.0


@kernel
def four_by_four(E, p, q, G):
    """The inner products of four rows from p and four from q."""
    n = E.shape[1]
    for a in range(p, p + 4, 2):
        s0, s1, s2, s3 = zeros(E), zeros(E), zeros(E), zeros(E)
        t0, t1, t2, t3 = zeros(E), zeros(E), zeros(E), zeros(E)
        for at in range(0, n, 16):
            x, y = load(E, a * n + at), load(E, (a + 1) * n + at)
            e0, e1 = load(E, q * n + at), load(E, (q + 1) * n + at)
            e2, e3 = load(E, (q + 2) * n + at), load(E, (q + 3) * n + at)
            s0, s1 = multiply_add(x, e0, s0), multiply_add(x, e1, s1)
            s2, s3 = multiply_add(x, e2, s2), multiply_add(x, e3, s3)
            t0, t1 = multiply_add(y, e0, t0), multiply_add(y, e1, t1)
            t2, t3 = multiply_add(y, e2, t2), multiply_add(y, e3, t3)
        G[a, q], G[a, q + 1], G[a, q + 2], G[a, q + 3] = total(s0), total(s1), total(s2), total(s3)
        G[a + 1, q], G[a + 1, q + 1], G[a + 1, q + 2], G[a + 1, q + 3] = (
            total(t0), total(t1), total(t2), total(t3),
        )  # fmt: skip


@kernel
def all_products(E, G):
    """``G = E E^T`` of sixty-four rows."""
    for p in range(0, ROWS, 4):
        for q in range(p, ROWS, 4):
            four_by_four(E, p, q, G)
    for a in range(ROWS):
        for b in range(a):
            G[a, b] = G[b, a]


@kernel
def norm_bound(G):
    """Not below ``|G|_2``, but for the rounding of G; and the sum of its diagonal."""
    largest, rest, trace = 0.0, 0.0, 0.0
    for a in range(ROWS):
        largest, trace = max(largest, np.float64(G[a, a])), trace + np.float64(G[a, a])
        for b in range(a + 1, ROWS):
            rest += 2.0 * np.float64(G[a, b]) * np.float64(G[a, b])
    return largest + np.sqrt(rest), trace


@kernel(parallel=True)
def look(H, A, scale, single, blocks, squares, found):
    """found (n / 64, rounded up; 3): bounds of ``|scale E_J|_2^2``, sums; blocks, squares: scratch of each thread."""
    for task in numba.prange(found.shape[0]):
        thread = numba.get_thread_id()
        E, G, S = blocks[thread], squares[thread, 0], squares[thread, 1]
        look_at_rows(H, A, scale, ROWS * task, single, E, found[task])
        all_products(E, G)
        bound, trace = norm_bound(G)
        mean = np.float32(trace / ROWS)
        for a in range(ROWS):
            G[a, a] -= mean
        all_products(G, S)
        # an inner product of 64 entries is off by 64 u, u = eps / 2, which counts in the largest and in the rest
        square, trace = norm_bound(S)
        shifted = np.float64(mean) + np.sqrt(square + 65.0 * EPS * trace + LOST)
        found[task, BOUND] = min(bound, shifted)
