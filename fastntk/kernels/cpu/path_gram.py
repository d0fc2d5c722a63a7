"""The tangent kernel of a step from the common activations at the start and what changes have added since.

Formula: ``H_ij = K_ij (C_ij + (A_ij + A_ji) / 2) / m``.
Layout: K, C, H (n, n); A ``[i][columns]``.
Owner: a task has a row of tiles on and right of the diagonal, with its mirror, and the row that makes up for its length.
Cost: n^2 / 2 of the formula, each written twice.
Bound: memory.
Machine: any.
Accumulation: float64; the sum is exact where the parts are integers.
Rejected: NumPy (four passes, one of them over a transpose: 6 ms instead of 1 at n = 1000).
"""

import numba

from fastntk.compilation.jit import kernel

_TILE = 16


@kernel
def gram_tile(K, C, A, m, H, top, left):
    """One tile and its mirror."""
    n = H.shape[0]
    for i in range(top, min(top + _TILE, n)):
        for j in range(left, min(left + _TILE, n)):
            value = K[i, j] * (C[i, j] + 0.5 * (A[i, j] + A[j, i])) / m
            H[i, j] = value
            H[j, i] = value


@kernel(parallel=True)
def path_gram(K, C, A, m, H):
    """H is overwritten."""
    tiles = (H.shape[0] + _TILE - 1) // _TILE
    for task in numba.prange((tiles + 1) // 2):
        for tile in range(task, tiles):
            gram_tile(K, C, A, m, H, _TILE * task, _TILE * tile)
        other = tiles - 1 - task
        for tile in range(other, tiles if other != task else other):
            gram_tile(K, C, A, m, H, _TILE * other, _TILE * tile)
