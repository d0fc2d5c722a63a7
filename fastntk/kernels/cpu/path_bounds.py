"""How far each entry can come along a path, from a few knots of it, and how far each neuron goes.

Formula: ``D_j = K (b_j o M)`` for p knots b_j; ``bound_ir = max_v |sum_j c_vj D_j,ir| + width sum_j
    |D_j,ir|`` over the corners v of the path; ``G_jk,r = (b_j o M_r)^T K (b_k o M_r)``.  The margin of a
    kept entry is ``|z_ir| / unit_r - bound_ir``; the spare of a neuron is the least of ``(reach_i -
    bound_ir) / size_i`` over its samples: what entries that were not kept have.
Layout: as `masked_sums`; kept entries in neuron order, samples ascending; G ``[neuron][pairs j <= k]``.
Owner: a task has a block of neurons and walks over the tiles of samples.
Cost: p times the rows of n^2 m masked sums.
Bound: as `masked_sums`.
Machine: any; vectors of sixteen lanes.
Accumulation: working precision; `fastntk.engines.path.candidates` says what rounding is allowed for.
Rejected: none tried.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.forward import lane_mask
from fastntk.kernels.cpu.lane_bits import active_bits, keep
from fastntk.kernels.cpu.lanes import broadcast, larger, load, magnitude, multiply_add, store, total, zeros
from fastntk.kernels.cpu.masked_sums import tile_sums


@kernel
def to_words(rows, words):
    """words [64 samples][neuron] from rows [neuron][bytes]."""
    for r in range(rows.shape[0]):
        for g in range(words.shape[0]):
            word = np.uint64(0)
            for k in range(min(8, rows.shape[1] - 8 * g)):
                word |= np.uint64(rows[r, 8 * g + k]) << np.uint64(8 * k)
            words[g, r] = word


@kernel
def tile_bound(S, k, corners, width):
    """max_v |sum_j c_vj D_j| + width sum_j |D_j| for sixteen samples of neuron k of a block."""
    bound, around = zeros(S), zeros(S)
    stride = S.shape[1] * 16
    for j in range(corners.shape[1]):
        around = around + magnitude(load(S, j * stride + 16 * k))
    for v in range(corners.shape[0]):
        value = zeros(S)
        for j in range(corners.shape[1]):
            value = multiply_add(
                broadcast(corners, v * corners.shape[1] + j), load(S, j * stride + 16 * k), value
            )
        bound = larger(magnitude(value), bound)
    return multiply_add(broadcast(width, 0), around, bound)


@kernel
def add_gram(S, k, knots, tile, lanes, gram):
    """gram (pairs,) += sum_i M_ir b_ji D_k,ir over the samples of a tile."""
    stride, pair = S.shape[1] * 16, 0
    for j in range(knots.shape[0]):
        b = keep(lanes, load(knots, j * knots.shape[1] + 16 * tile))
        for i in range(j, knots.shape[0]):
            gram[pair] += np.float64(total(b * load(S, i * stride + 16 * k)))
            pair += 1


@kernel(parallel=True)
def path_bounds(
    rows, n, K, knots, corners, width, reach, per_size, inverse, first_kept, samples, values,
    words, tables, sums, bounds, cursors, margins, spare, gram,
):  # fmt: skip
    """margins (kept,), spare (m,) and gram (m, pairs) are overwritten; sums (threads, knots, block, 16)."""
    m, block = rows.shape[0], sums.shape[2]
    for task in numba.prange((m + block - 1) // block):
        thread, first = numba.get_thread_id(), task * block
        count = min(block, m - first)
        S, here, bound = sums[thread], words[thread], bounds[thread]
        to_words(rows[first : first + count], here)
        for r in range(first, first + count):
            cursors[r], spare[r] = first_kept[r], np.inf
            for pair in range(gram.shape[1]):
                gram[r, pair] = 0.0
        for tile in range(knots.shape[1] // 16):
            for j in range(knots.shape[0]):
                tile_sums(here, K, tile * knots.shape[1] * 16, 16, knots[j], 0, count, tables[thread], S[j])
            lanes, old, shift = lane_mask(n, tile), here[tile // 4], np.uint64(16 * (tile % 4))
            for k in range(count):
                r = first + k
                reached = tile_bound(S, k, corners, width)
                store(bound, 0, reached)
                left = (load(reach, 16 * tile) - reached) * load(per_size, 16 * tile) - broadcast(spare, r)
                if lanes & ~active_bits(left) != np.uint16(0):
                    for j in range(min(16, n - 16 * tile)):
                        i = 16 * tile + j
                        spare[r] = min(spare[r], (reach[i] - bound[j]) * per_size[i])
                at, last = cursors[r], first_kept[r + 1]
                while at < last and samples[at] < 16 * (tile + 1):
                    margins[at] = abs(values[at]) * inverse[r] - bound[samples[at] - 16 * tile]
                    at += 1
                cursors[r] = at
                add_gram(S, k, knots, tile, np.uint16(old[np.uint64(k)] >> shift), gram[r])
