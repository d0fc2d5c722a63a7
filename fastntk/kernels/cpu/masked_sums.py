"""Bits times dense: ``S[r, c] = sum_i M[i, r] e[i] V[i, c]``.

Layout: V in column tiles ``[tile][sample][16]``, or row-major for `tile_sums`; mask bytes ``[8 samples][neuron]``,
    sums ``[neuron][16]`` of one tile; every long stream is contiguous.
Owner: a task has one tile and one block of neurons, so every output has one writer.
Method: four Russians. Eight samples give a table of the 256 partial sums of a tile; six tables (96 KB in
    float32) at a time, one table row added per mask byte.
Cost: n p m / 128 additions of sixteen lanes, one table row (64 bytes in float32) each; 2 n p more per block
    for tables.
Bound: rows that miss the first-level cache and the sums, read and written once per six
    tables, cross from the second level at 32 bytes a cycle: about 2 cycles an addition, 64 multiply-adds a
    cycle and core.
Machine: two cores with AVX-512, of which kind is not on record.
Accumulation: working precision, table by table in sample order; relative error about sqrt(n / 8) units of
    rounding.
Rejected: 8 lanes (tables fit in the first-level cache, but twice the byte loads: 1.18x slower), 2, 3, 4, 5, 8
    tables at a time (1.01-1.16x slower), blocks of 4096, 2048, 1024 neurons (1.04x, 1.1x, 1.2x), row-major
    sums (3x at strides of 4096 bytes), prefetching what the epilogue reads (no change).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import broadcast, byte_at, load, store, zeros

NEURON_BLOCK = 8192  # at most so many neurons share a set of tables: their float32 sums take 512 KiB
TABLES = 6
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
def build_table(T, table, V, start, stride, e, row):
    """Table number `table`: sums of every subset of e[i] V[i], i = row ... row + 7; see `tile_sums`."""
    base = table * TABLE_ROWS * 16
    store(T, base, zeros(T))
    for bit in range(8):
        value = broadcast(e, row + bit) * load(V, start + stride * (row + bit))
        if bit >= 4:
            double_rows(T, base, np.intp(1) << bit, value)
        else:
            for j in range(np.intp(1) << bit):
                store(T, base + ((np.intp(1) << bit) + j) * 16, value + load(T, base + j * 16))


@kernel
def empty_table(T, table):
    """Table number `table`: zeros."""
    for row in range(TABLE_ROWS):
        store(T, (table * TABLE_ROWS + row) * 16, zeros(T))


@kernel
def add_row(T, bits, start, S, count):
    """Add to each sum the row of table 0 that its mask byte names; `start` is the offset of the first byte."""
    for r in range(count):
        store(S, r * 16, load(S, r * 16) + load(T, byte_at(bits, start + r) * 16))


@kernel
def add_six_rows(T, bits, start, stride, S, count):
    """Add to each sum one row of each of six tables; `stride` separates the mask bytes of two groups."""
    size = TABLE_ROWS * 16
    for r in range(count):
        s = load(S, r * 16)
        s = s + load(T, byte_at(bits, start + r) * 16)
        s = s + load(T, size + byte_at(bits, start + stride + r) * 16)
        s = s + load(T, 2 * size + byte_at(bits, start + 2 * stride + r) * 16)
        s = s + load(T, 3 * size + byte_at(bits, start + 3 * stride + r) * 16)
        s = s + load(T, 4 * size + byte_at(bits, start + 4 * stride + r) * 16)
        s = s + load(T, 5 * size + byte_at(bits, start + 5 * stride + r) * 16)
        store(S, r * 16, s)


@kernel
def tile_sums(bits, V, start, stride, e, first, count, T, S):
    """S[k, :] = masked sums of 16 columns of V for the neurons first ... first + count - 1.

    Sample i of these columns is at the flat offset start + i stride of V.
    """
    groups, width = bits.shape
    for k in range(count):
        store(S, k * 16, zeros(S))
    done = np.intp(0)
    while done < groups and groups >= TABLES:
        group = min(
            done, groups - TABLES
        )  # the last set may reach back: groups done already get empty tables
        for j in range(TABLES):
            if group + j < done:
                empty_table(T, j)
            else:
                build_table(T, j, V, start, stride, e, 8 * (group + j))
        add_six_rows(T, bits, group * width + first, width, S, count)
        done = group + TABLES
    while done < groups:
        build_table(T, 0, V, start, stride, e, 8 * done)
        add_row(T, bits, done * width + first, S, count)
        done += 1


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
        tile_sums(bits, V, tile * e.size * 16, 16, e, first, count, tables[thread], S)
        for k in range(count):
            for j in range(min(16, columns - 16 * tile)):
                out[first + k, 16 * tile + j] = S[k, j]
