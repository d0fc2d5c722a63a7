"""Displacements at chosen entries along all directions of a path: ``D_j,ir = sum_l K_il b_jl M_lr``.

Layout: chosen entries by sample: ``neurons[first[i] ... first[i + 1] - 1]``, and where each goes in D; mask
    bytes ``[neuron][bytes]``; directions ``[set of 16][sample][16]``; D ``[set of 16][entry][16]``.
Owner: a task has a sample and its entries.
Method: four samples give a table of the 16 partial sums of K_il b_l, sixteen directions a row; so many
    tables at a time as fit in the first-level cache.
Cost: n / 4 look-ups of sixteen lanes an entry, and 4 n additions a sample for tables.
Bound: two loads a cycle, half of them table rows.
Machine: any; vectors of sixteen lanes.
Accumulation: working precision, two chains that are joined after each set of tables, of 64 samples or more: at most
    9 additions to a sum for every 64 samples, and 4 roundings before, each of sums of |K_il b_jl|.
Rejected: all tables of a sample at once (they lie in the second-level cache: 5 cycles a look-up instead of
    1.3).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import byte_at
from fastntk.kernels.cpu.lanes import broadcast, load, store, zeros

TABLE_ROWS = 16


@kernel
def build_nibble(T, table, K, B, i, group, part):
    """Table number `table`: sums of every subset of K_il b_l, l = 4 group ... 4 group + 3, directions of `part`."""
    n, base = K.shape[1], table * TABLE_ROWS * 16
    store(T, base, zeros(T))
    for bit in range(4):
        sample = 4 * group + bit
        value = broadcast(K, i * n + sample) * load(B, (part * n + sample) * 16)
        for row in range(np.intp(1) << bit):
            store(T, base + ((np.intp(1) << bit) + row) * 16, value + load(T, base + row * 16))


@kernel
def look_up(T, rows, r, first, count, before):
    """`before` plus one row of each of 2 count tables, by the bytes of neuron r from byte `first`."""
    even, odd = before, zeros(T)
    at = r * rows.shape[1] + first
    for g in range(count):
        byte = byte_at(rows, at + g)
        table = g * 2 * TABLE_ROWS * 16
        even = even + load(T, table + (byte & 15) * 16)
        odd = odd + load(T, table + TABLE_ROWS * 16 + (byte >> 4) * 16)
    return even + odd


@kernel(parallel=True)
def path_displacement(rows, K, B, first, neurons, entries, tables, sums, D):
    """K (n, 8 bytes) has zeros behind n; scratch: tables (threads, 2 bytes, 16, 16), sums (threads, most, 16)."""
    size = tables.shape[1] // 2
    total = K.shape[1] // 8
    stride = D.shape[1]
    for i in numba.prange(K.shape[0]):
        T, S = tables[numba.get_thread_id()], sums[numba.get_thread_id()]
        for part in range(D.shape[0] if first[i] < first[i + 1] else 0):
            for byte in range(0, total, size):
                count = min(size, total - byte)
                for g in range(2 * count):
                    build_nibble(T, g, K, B, i, 2 * byte + g, part)
                for x in range(first[i], first[i + 1]):
                    at = (x - first[i]) * 16
                    before = zeros(S)
                    if byte > 0:
                        before = load(S, at)
                    store(S, at, look_up(T, rows, neurons[x], byte, count, before))
            for x in range(first[i], first[i + 1]):
                store(D, (part * stride + entries[x]) * 16, load(S, (x - first[i]) * 16))
