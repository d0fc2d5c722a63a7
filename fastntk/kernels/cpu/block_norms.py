"""Gram matrices of blocks of rows of a difference, for a bound of its spectral norm.

Formula: with E the difference without its diagonal and E_J sixty-four rows of it, ``G = E_J E_J^T`` and
    ``max_a G_aa + |G - diag G|_F``, which is not below ``|E_J|_2^2``.
Layout: H, A (n, n) float64; E_J [row][n up to a multiple of 16] and G in float32, scratch of each thread.
Owner: a task has a block of rows and its bound.
Cost: 32 n^2 multiply-adds, in tiles of four rows by four.
Bound: multiply-add.
Machine: any; vectors of sixteen lanes.
Accumulation: float32 in sixteen sums an entry, so off by less than ``n 2^-24 |e_a| |e_b|``; the rest in float64.
Rejected: a batched product of NumPy (0.8 ms for that of 40 rows at n = 1000, without the difference); blocks of 32
    rows (half the time, a bound a tenth wider: twice the factorisations in a run at m = 500).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import load, multiply_add, total, zeros

ROWS = 64


@kernel
def rows_apart(H, A, scale, first, E):
    """E = the rows from `first` of ``scale (H - A)`` without the diagonal, zero beyond both."""
    n, columns = H.shape[0], E.shape[1]
    h, a, e = H.reshape(-1), A.reshape(-1), E.reshape(-1)
    rows = min(ROWS, n - first)
    for x in range(np.uint64(ROWS * columns) if rows < ROWS else np.uint64(0)):
        e[x] = 0.0
    for i in range(rows):
        source, target = np.uint64((first + i) * n), np.uint64(i * columns)
        for j in range(np.uint64(n)):
            e[target + j] = scale * (h[source + j] - a[source + j])
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


@kernel(parallel=True)
def block_norms(H, A, scale, blocks, G, bounds):
    """bounds (n / 64, rounded up) of ``|scale E_J|_2^2``; scratch: blocks, G (threads, 64, ...)."""
    for task in numba.prange(bounds.size):
        thread = numba.get_thread_id()
        E, g = blocks[thread], G[thread]
        rows_apart(H, A, scale, ROWS * task, E)
        for p in range(0, ROWS, 4):
            for q in range(p, ROWS, 4):
                four_by_four(E, p, q, g)
        largest, rest = 0.0, 0.0
        for a in range(ROWS):
            largest = max(largest, np.float64(g[a, a]))
            for b in range(a + 1, ROWS):
                rest += 2.0 * np.float64(g[a, b]) * np.float64(g[a, b])
        bounds[task] = largest + np.sqrt(rest)
