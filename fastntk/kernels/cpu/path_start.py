"""One pass over a block of neurons: their pattern, their share of the outputs, and the entries near zero.

Formula: ``Z = W X^T``, ``M = 1{Z >= 0}``, ``u = sum_r a_r relu(z_r)``; an entry is kept if ``|z_ir| <=
    reach_i unit_r``.
Layout: mask bytes ``[8 samples][neuron]`` for counting, and ``[neuron][bytes]`` for looking neurons up;
    kept entries of a sub-block in neuron order, samples ascending, at the start of a buffer that could hold
    them all.
Owner: a task has a sub-block of neurons and all that is made of them.
Cost: n d m multiply-adds of BLAS, then about 8 instructions per sixteen pre-activations.
Bound: BLAS.
Machine: any; vectors of sixteen lanes.
Accumulation: as `forward`: u in working precision over 64 neurons, then float64 in neuron order.
Rejected: counting first and filling in a second pass over Z (reads Z from memory again).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.forward import WORD, lane_mask, lanes_at, word_signs, write_octets
from fastntk.kernels.cpu.lane_bits import active_bits, lowest_bit
from fastntk.kernels.cpu.lanes import broadcast, load


@kernel
def keep_near(Z, n, row, unit, r, reach, forced, samples, values, at):
    """Append the entries of one neuron that are within reach of zero, or forced; where the next ones go."""
    tiles = reach.size // 16
    offset = row * 16 * tiles
    for t in range(tiles):
        z = load(Z, offset + 16 * t)
        limit = load(reach, 16 * t) * broadcast(unit, r)
        near = active_bits(limit - z) & active_bits(limit + z) & lane_mask(n, t)
        if forced.shape[0] > 0:
            near |= np.uint16(lanes_at(forced[r], forced[r, 1:], np.uint64(2 * t)))
        left = np.uint64(near)
        while left != np.uint64(0):
            i = 16 * t + lowest_bit(left)
            left &= left - np.uint64(1)
            samples[at] = i
            values[at] = Z[row, i]
            at += 1
    return at


@kernel(parallel=True)
def path_start(
    W, X, n, a, unit, reach, forced, bits, rows, Z, octets, shares, u_shares, samples, values, kept
):  # fmt: skip
    """forced: no rows, or mask bytes [neuron][bytes]; kept (m,) entries of each neuron, a row a sub-block."""
    m, size = W.shape[0], Z.shape[1]
    for block in numba.prange(u_shares.shape[0]):
        thread, first = numba.get_thread_id(), block * size
        count = min(size, m - first)
        here, octet, share = Z[thread, :count], octets[thread], shares[thread]
        np.dot(W[first : first + count], X.T, here)
        for i in range(share.size):
            u_shares[block, i] = 0.0
        at = 0
        for row in range(0, count, WORD):
            some = min(WORD, count - row)
            word_signs(here, n, row, some, a, first + row, octet, share)
            write_octets(octet, some, first + row, bits)
            for i in range(share.size):
                u_shares[block, i] += np.float64(share[i])
            for k in range(row, row + some):
                r = first + k
                for g in range(octet.shape[0]):
                    rows[r, g] = octet[g, k - row]
                before = at
                at = keep_near(here, n, k, unit, r, reach, forced, samples[block], values[block], at)
                kept[r] = at - before
