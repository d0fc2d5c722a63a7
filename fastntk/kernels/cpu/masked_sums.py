"""Bits times dense: ``S[r, c] = sum_i M[i, r] e[i] V[i, c]``.

Layout: V in column tiles ``[tile][sample][16]``, mask bytes ``[8 samples][neuron]``, sums ``[neuron][16]`` of
    one tile; every stream is contiguous. A task owns one tile and one block of neurons, so every output has
    one writer.
Method: four Russians. Eight samples give a table of the 256 partial sums of a tile; four tables (64 KB in
    float32) at a time, one table row added per mask byte.
Cost: n p m / 128 additions of sixteen lanes, each one load of a table row; bound: one 64-byte load a cycle,
    that is 128 float32 multiply-adds a cycle and core. 2 n p more additions a neuron block for the tables.
Accumulation: working precision, table by table in sample order; relative error about sqrt(n / 8) units of
    rounding.
Rejected: 8 lanes (tables fit in the first-level cache, but 1.18x slower: twice the byte loads), 2, 3, 6, 8
    tables at a time (1.05-1.16x slower), blocks of 1024 or 2048 neurons (1.2x, 1.06x), row-major sums (3x at
    strides of 4096 bytes).
"""

import numba
import numpy as np

from fastntk.jit import kernel
from fastntk.kernels.cpu.lanes import broadcast, byte_at, load, store, zeros

NEURON_BLOCK = 4096  # at most so many neurons share a set of tables: their sums take 256 KiB in float32
TABLES = 4
TABLE_ROWS = 256


@kernel
def double_rows(T, base, filled, value):
    """Rows filled ... 2 filled - 1 = rows 0 ... filled - 1 plus `value`; filled is at least 16."""
    source, target = base, base + filled * 16
    for _ in range(filled // 16):
        for j in range(16):
            store(T, target + j * 16, value + load(T, source + j * 16))
        source += 256
        target += 256


@kernel
def build_table(T, table, V, e, tile, row):
    """Table number `table`: sums of every subset of e[i] V[i, tile], i = row ... row + 7."""
    base = table * TABLE_ROWS * 16
    store(T, base, zeros(T))
    for bit in range(8):
        value = broadcast(e, row + bit) * load(V, (tile * e.size + row + bit) * 16)
        if bit >= 4:
            double_rows(T, base, np.intp(1) << bit, value)
        else:
            for j in range(np.intp(1) << bit):
                store(T, base + ((np.intp(1) << bit) + j) * 16, value + load(T, base + j * 16))


@kernel
def add_row(T, bits, start, S, count):
    """Add to each sum the row of table 0 that its mask byte names; `start` is the offset of the first byte."""
    for r in range(count):
        store(S, r * 16, load(S, r * 16) + load(T, byte_at(bits, start + r) * 16))


@kernel
def add_four_rows(T, bits, start, stride, S, count):
    """Add to each sum one row of each of four tables; `stride` separates the mask bytes of two groups."""
    size = TABLE_ROWS * 16
    for r in range(count):
        s = load(S, r * 16)
        s = s + load(T, byte_at(bits, start + r) * 16)
        s = s + load(T, size + byte_at(bits, start + stride + r) * 16)
        s = s + load(T, 2 * size + byte_at(bits, start + 2 * stride + r) * 16)
        s = s + load(T, 3 * size + byte_at(bits, start + 3 * stride + r) * 16)
        store(S, r * 16, s)


@kernel
def tile_sums(bits, V, e, tile, first, count, T, S):
    """S[k, :] = masked sums of one column tile for the neurons first ... first + count - 1."""
    groups, width = bits.shape
    for k in range(count):
        store(S, k * 16, zeros(S))
    group = np.intp(0)
    while group + TABLES <= groups:
        for j in range(TABLES):
            build_table(T, j, V, e, tile, 8 * (group + j))
        add_four_rows(T, bits, group * width + first, width, S, count)
        group += TABLES
    while group < groups:
        build_table(T, 0, V, e, tile, 8 * group)
        add_row(T, bits, group * width + first, S, count)
        group += 1


@kernel(parallel=True)
def masked_sums(bits, V, e, tables, sums, out):
    """out[r, c] = sum_i M[i, r] e[i] V[i, c] for a row-major out (m, p); scratch is one table set a thread."""
    (m, columns), block = out.shape, sums.shape[1]
    tiles = V.shape[0]
    for task in numba.prange(tiles * ((m + block - 1) // block)):
        tile, first = task % tiles, (task // tiles) * block
        count = min(block, m - first)
        thread = numba.get_thread_id()
        S = sums[thread]
        tile_sums(bits, V, e, tile, first, count, tables[thread], S)
        for k in range(count):
            for j in range(min(16, columns - 16 * tile)):
                out[first + k, 16 * tile + j] = S[k, j]
