"""One step on the weights with momentum, or of both layers.

Formula: ``V <- beta V + G``, ``D <- D + b V + c G``, G the step that primal_step would take; the gradient of the second
    layer, ``sum_i e_i relu(w_r . x_i) = w_r . sum_i e_i M_ir x_i``, is a product with the sums in cache.
Layout: as primal_step, with the velocity V beside D; coefficients as in dual_momentum.
Owner: as primal_step.
Cost: primal_step, and V read and written: 8 d m bytes more in float32; W0 read once for the second layer.
Bound: as primal_step.
Machine: any.
Accumulation: squared drift and products in float64 over tiles, combined over fixed ranges in a fixed order.
Rejected: none tried.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import load, total
from fastntk.kernels.cpu.primal_step import column_sums, move_columns


@kernel
def weight_products(W0, D, S, tile, first, count, share):
    """share[r] += the part of ``w_r . S_r`` in one tile of columns."""
    d, width = W0.shape[1], D.shape[1]
    for k in range(count):
        r = first + k
        if 16 * (tile + 1) <= d:
            w = load(W0, r * d + 16 * tile) + load(D, (tile * width + r) * 16)
            share[r] += np.float64(total(w * load(S, k * 16)))
        else:
            for j in range(d - 16 * tile):
                share[r] += np.float64((W0[r, 16 * tile + j] + D[tile, r, j]) * S[k, j])


@kernel(parallel=True)
def primal_momentum(
    m, words, X, rest, e, scale, coefficients, W0, D, V, tables, sums, drift_shares, product_shares
):
    """Shares (ranges, width) are overwritten; those of the products stay zero if W0 has no rows."""
    tiles, ranges, block = D.shape[0], drift_shares.shape[0], sums.shape[1]
    for task in numba.prange(ranges * ((m + block - 1) // block)):
        part, first = task % ranges, (task // ranges) * block
        count = min(block, m - first)
        thread = numba.get_thread_id()
        T, S = tables[thread], sums[thread]
        for k in range(count):
            drift_shares[part, first + k] = 0.0
            product_shares[part, first + k] = 0.0
        for tile in range(part * tiles // ranges, (part + 1) * tiles // ranges):
            column_sums(words, X, rest, tile, e, first, count, T, S)
            if W0.shape[0]:
                weight_products(W0, D, S, tile, first, count, product_shares[part])
            move_columns(tile, first, count, scale, D, S, drift_shares[part], (coefficients, V))
