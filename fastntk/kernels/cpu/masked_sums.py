"""Bits times dense: ``S[r, c] = sum_i M[i, r] e[i] V[i, c]``.

Layout: V in column tiles ``[tile][sample][8]``, mask bytes ``[8 samples][neuron]``, sums ``[neuron][8]`` of one tile; every
    stream is contiguous.  A task owns one tile and one block of neurons, so every output has one writer.
Method: four Russians.  Eight samples give a table of the 256 partial sums of an eight-lane tile; four tables (32 KB
    in float32) at a time, one table row added per mask byte.
Cost: n p m / 64 additions of eight lanes, each one load from the first-level cache; bound: about one such load a cycle,
    that is 64 multiply-adds a cycle and core, whatever the vector width.  n p 32 more additions a block for tables.
Accumulation: working precision, table by table in sample order; relative error about sqrt(n / 8) units of rounding.
Rejected: 16-lane tiles (tables outgrow the cache, no gain over two 8-lane rows); 2, 3, 5, 6, 8 tables at a time
    (2-20 % slower); blocks of 2048 (10 % slower) and 8192; row-major sums (3x slower at strides of 4096 bytes).
"""

import numba
import numpy as np

from fastntk.jit import kernel
from fastntk.kernels.cpu.lanes import broadcast, byte_at, load, store, zeros

NEURON_BLOCK = 4096  # neurons sharing a set of tables: their float32 sums take 128 KiB of second-level cache
TABLES = 4
TABLE_ROWS = 256


@kernel
def build_table(T, table, V, e, tile, row):
    """Table number `table`: sums of every subset of e[i] V[i, tile], i = row ... row + 7."""
    base = table * TABLE_ROWS * 8
    store(T, base, zeros(T))
    for bit in range(8):
        value = broadcast(e, row + bit) * load(V, (tile * e.size + row + bit) * 8)
        half = np.intp(1) << bit
        for j in range(half):
            store(T, base + (half + j) * 8, value + load(T, base + j * 8))


@kernel
def add_row(T, bits, start, S, count):
    """Add to each sum the row of table 0 that its mask byte names; `start` is the offset of the first byte."""
    for r in range(count):
        store(S, r * 8, load(S, r * 8) + load(T, byte_at(bits, start + r) * 8))


@kernel
def add_four_rows(T, bits, start, stride, S, count):
    """Add to each sum one row of each of four tables; `stride` separates the mask bytes of two groups."""
    size = TABLE_ROWS * 8
    for r in range(count):
        s = load(S, r * 8)
        s = s + load(T, byte_at(bits, start + r) * 8)
        s = s + load(T, size + byte_at(bits, start + stride + r) * 8)
        s = s + load(T, 2 * size + byte_at(bits, start + 2 * stride + r) * 8)
        s = s + load(T, 3 * size + byte_at(bits, start + 3 * stride + r) * 8)
        store(S, r * 8, s)


@kernel
def tile_sums(bits, V, e, tile, first, count, T, S):
    """S[k, :] = masked sums of one column tile for the neurons first ... first + count - 1."""
    groups, width = bits.shape
    for k in range(count):
        store(S, k * 8, zeros(S))
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
    m, columns = out.shape
    blocks = (m + NEURON_BLOCK - 1) // NEURON_BLOCK
    tiles = V.shape[0]
    for task in numba.prange(tiles * blocks):
        tile, first = task % tiles, (task // tiles) * NEURON_BLOCK
        count = min(NEURON_BLOCK, m - first)
        thread = numba.get_thread_id()
        S = sums[thread]
        tile_sums(bits, V, e, tile, first, count, tables[thread], S)
        for k in range(count):
            for j in range(min(8, columns - 8 * tile)):
                out[first + k, 8 * tile + j] = S[k, j]
