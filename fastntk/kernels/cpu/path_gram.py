"""The tangent kernel of a step from the common activations at the start and what changes have added since.

Formula: ``H_ij = K_ij (C_ij + (A_ij + A_ji) / 2) / m``.
Layout: K, C, H (n, n); A ``[i][columns]``; two tiles of scratch for each thread.
Owner: a task has a row of tiles on and right of the diagonal, their mirror, and the row that makes up for its
    length.
Cost: n^2 / 2 of the formula, and two transpositions.
Bound: memory.
Machine: any; transpositions of eight by eight in registers.
Accumulation: float64; the sum is exact where the parts are integers.
Rejected: NumPy (four passes, one of them over a transpose: 6 ms at n = 1000); transpositions by single entries
    (2.6 ms instead of 0.45: indices that may be negative do not become vectors).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import store_transposed

TILE = 32


@kernel
def whole_tile(K, C, A, m, H, top, left, turned, values):
    """A tile and its mirror, all of flat arrays; turned and values have its entries, [row][column]."""
    n, columns = H.shape[0], A.shape[1]
    k, c, a, h = K.reshape(-1), C.reshape(-1), A.reshape(-1), H.reshape(-1)
    for j in range(TILE):
        source, target = np.uint64((left + j) * columns + top), np.uint64(TILE * j)
        for i in range(np.uint64(TILE)):
            values[target + i] = a[source + i]
    for i in range(0, TILE, 8):
        for j in range(0, TILE, 8):
            store_transposed(turned, TILE * i + j, TILE, values, TILE * j + i, TILE)
    for i in range(TILE):
        place, source = np.uint64((top + i) * n + left), np.uint64((top + i) * columns + left)
        target = np.uint64(TILE * i)
        for j in range(np.uint64(TILE)):
            change = 0.5 * (np.float64(a[source + j]) + turned[target + j])
            value = k[place + j] * (c[place + j] + change) / m
            values[target + j] = value
            h[place + j] = value
    for i in range(0, TILE, 8):
        for j in range(0, TILE, 8):
            store_transposed(h, (left + j) * n + top + i, n, values, TILE * i + j, TILE)


@kernel
def part_of_tile(K, C, A, m, H, top, left):
    """What the matrix has of a tile that reaches beyond it, and its mirror."""
    for i in range(top, min(top + TILE, H.shape[0])):
        for j in range(left, min(left + TILE, H.shape[0])):
            H[i, j] = K[i, j] * (C[i, j] + 0.5 * (np.float64(A[i, j]) + A[j, i])) / m
            H[j, i] = H[i, j]


@kernel
def row_of_tiles(K, C, A, m, H, row, turned, values):
    """The tiles on and right of the diagonal."""
    for left in range(TILE * row, H.shape[0], TILE):
        if left + TILE <= H.shape[0]:
            whole_tile(K, C, A, m, H, TILE * row, left, turned, values)
        else:
            part_of_tile(K, C, A, m, H, TILE * row, left)


@kernel(parallel=True)
def path_gram(K, C, A, m, H, tiles):
    """H is overwritten; scratch: tiles (threads, 2, 32 * 32)."""
    rows = (H.shape[0] + TILE - 1) // TILE
    for task in numba.prange((rows + 1) // 2):
        tile, other = tiles[numba.get_thread_id()], rows - 1 - task
        row_of_tiles(K, C, A, m, H, task, tile[0], tile[1])
        if other > task:
            row_of_tiles(K, C, A, m, H, other, tile[0], tile[1])
