"""The tangent kernel of a step from the common activations at the start and what changes have added since.

Formula: ``H_ij = K_ij (C_ij + (A_ij + A_ji) / 2) / m``.
Layout: K, C, H (n, n); A ``[i][columns]``; a tile of scratch for each thread.
Owner: a task has a row of tiles on and right of the diagonal, their mirror, and the row that makes up for its
    length.
Cost: n^2 / 2 of the formula, and two transpositions.
Bound: memory.
Machine: any.
Accumulation: float64; the sum is exact where the parts are integers.
Rejected: NumPy (four passes, one of them over a transpose: 6 ms at n = 1000); no scratch (3 ms: the division does not
    become a vector's).
"""

import numba

from fastntk.compilation.jit import kernel

TILE = 16


@kernel
def gram_tile(K, C, A, m, H, top, left, tile):
    """One tile and its mirror."""
    bottom, right = min(top + TILE, H.shape[0]), min(left + TILE, H.shape[0])
    for j in range(left, right):
        for i in range(top, bottom):
            tile[i - top, j - left] = A[j, i]
    for i in range(top, bottom):
        for j in range(left, right):
            value = K[i, j] * (C[i, j] + 0.5 * (A[i, j] + tile[i - top, j - left])) / m
            H[i, j] = value
            tile[i - top, j - left] = value
    for j in range(left, right):
        for i in range(top, bottom):
            H[j, i] = tile[i - top, j - left]


@kernel(parallel=True)
def path_gram(K, C, A, m, H, tiles):
    """H is overwritten; scratch: tiles (threads, 16, 16)."""
    rows = (H.shape[0] + TILE - 1) // TILE
    for task in numba.prange((rows + 1) // 2):
        tile = tiles[numba.get_thread_id()]
        for t in range(task, rows):
            gram_tile(K, C, A, m, H, TILE * task, TILE * t, tile)
        other = rows - 1 - task
        for t in range(other, rows if other != task else other):
            gram_tile(K, C, A, m, H, TILE * other, TILE * t, tile)
