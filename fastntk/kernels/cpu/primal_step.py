"""One step of gradient descent on the weights.

Formula: ``D += scale * M^T diag(e) X``, ``W = W0 + D``.
Layout: D ``[tile of 16 columns][neuron][16]``, X and W0 row-major; the columns of X beyond its last whole tile again
    in a tile of their own, padded with zeros; the signs as words over samples. D is kept apart from W0 because it is
    small, and because the drift is then a plain norm.
Owner: a task has a range of tiles and a block of neurons.
Cost: the rows of n d m masked sums; D read and written once, 8 d m bytes in float32. The forward product that follows
    (forward.forward_moved) assembles row-major blocks of W0 + D in cache.
Bound: as masked_sums.
Machine: any.
Accumulation: squared drift in float64 over tiles, combined over fixed ranges in a fixed order.
Rejected: a second copy of X in column tiles (no faster, and n d more memory).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import broadcast, load, store, total
from fastntk.kernels.cpu.masked_sums import tile_sums


@kernel
def column_sums(words, X, rest, tile, e, first, count, T, S):
    """S = masked sums of one tile of columns, the last one from `rest` if it is not whole."""
    d = X.shape[1]
    if 16 * (tile + 1) <= d:
        tile_sums(words, X, 16 * tile, d, e, first, count, T, S)
    else:
        tile_sums(words, rest, 0, 16, e, first, count, T, S)


@kernel
def move_columns(tile, first, count, scale, D, S, drift_share, momentum):
    """Apply the sums S to one tile of columns; momentum is None, or (coefficients, V) as in primal_momentum."""
    width = D.shape[1]
    for k in range(count):
        r = first + k
        offset = (tile * width + r) * 16
        moved, step = load(D, offset), broadcast(scale, r) * load(S, k * 16)
        if momentum is None:
            moved = moved + step
        else:
            coefficients, V = momentum
            moving = broadcast(coefficients, 0) * load(V, offset) + step
            store(V, offset, moving)
            moved = moved + broadcast(coefficients, 1) * moving + broadcast(coefficients, 2) * step
        store(D, offset, moved)
        drift_share[r] += np.float64(total(moved * moved))


@kernel(parallel=True)
def primal_step(m, words, X, rest, e, scale, D, tables, sums, drift_shares):
    """D (tiles, width, 16) moves in place; drift_shares (ranges, width) receives |D_r|^2 of each range of columns."""
    tiles, ranges, block = D.shape[0], drift_shares.shape[0], sums.shape[1]
    for task in numba.prange(ranges * ((m + block - 1) // block)):
        part, first = task % ranges, (task // ranges) * block
        count = min(block, m - first)
        thread = numba.get_thread_id()
        T, S = tables[thread], sums[thread]
        for k in range(count):
            drift_shares[part, first + k] = 0.0
        for tile in range(part * tiles // ranges, (part + 1) * tiles // ranges):
            column_sums(words, X, rest, tile, e, first, count, T, S)
            move_columns(tile, first, count, scale, D, S, drift_shares[part], None)
