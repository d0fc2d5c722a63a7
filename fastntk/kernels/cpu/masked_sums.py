"""Bits times dense: ``S[r, c] = sum_i M[i, r] e[i] V[i, c]``.

Formula: four Russians. The 64 samples of a word are cut into small tables of all partial sums of 64 bytes of
    columns; a neuron adds the row of each table that its bits name, cut from its word by shift and mask.
Layout: V in column tiles ``[tile][sample][16]``, or row-major for `tile_sums`; words over samples ``[64
    samples][neuron]`` (see sample_words), sums ``[neuron][16]`` of one tile; every long stream is contiguous. Rows
    of a table are 64 bytes: 16 columns in float32; in float64 8, and a tile is done in two halves.
Owner: a task has one tile and one block of neurons, so every output has one writer.
Cost: n p m / 93 additions of a row (WIDE) or n p m / 79 (NARROW) in float32, twice as many in float64; 640 or 400
    more for tables per 64 samples, tile and block of neurons.
Bound: loads from the first-level cache, two a cycle at most; the sums come from and go to the second level
    once per 64 samples.
Machine: any. WIDE tables (nine of 6 bits, two of 5: 40 KB) where the first-level cache holds 48 KB, NARROW ones
    (twelve of 5 bits, one of 4: 25 KB) elsewhere; see `scratch.table_scratch`.
Accumulation: working precision, two chains a word, word by word; at most ``15 + n / 8`` roundings of a sum.
Rejected: byte tables from the second-level cache, six (96 KB, sums once per 48 samples) at a time (1.3 to 1.55x
    slower on a Zen 5) or eight (1.2x); sixteen tables of 4 bits (1.2x); row-major sums (3x at strides of 4096 bytes).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import add_table_rows, word_at
from fastntk.kernels.cpu.lanes import broadcast, broadcast_line, load, load_line, store, total, zeros

NEURON_BLOCK = 8192  # at most so many neurons share a set of tables: their float32 sums take 512 KiB
WIDE, NARROW = (6,) * 9 + (5,) * 2, (5,) * 12 + (4,)  # bits of each table
WIDE_ROWS, NARROW_ROWS = sum(1 << bits for bits in WIDE), sum(1 << bits for bits in NARROW)
add_wide_rows, add_narrow_rows = add_table_rows(WIDE), add_table_rows(NARROW)


@kernel
def build_tables(T, sizes, V, start, stride, e, sample):
    """Tables of a word: the sums of every subset of e[i] V[i], i = sample ...; no rows for samples beyond the last."""
    lanes, base = T.shape[1], np.intp(0)
    for size in sizes:
        for j in range(lanes):
            T[base, j] = 0.0
        for bit in range(min(size, e.size - sample)):
            value = broadcast_line(e, sample + bit) * load_line(V, start + stride * (sample + bit))
            filled = np.intp(1) << bit
            for row in range(base, base + filled):
                store(T, (row + filled) * lanes, value + load_line(T, row * lanes))
        base += np.intp(1) << size
        sample += size


@kernel
def add_wide(T, words, start, S, offset, count):
    """Add to each sum the row of each of the WIDE tables that its word names."""
    for r in range(count):
        at = offset + 16 * r
        store(S, at, add_wide_rows(T, word_at(words, start + r), load_line(S, at)))


@kernel
def add_narrow(T, words, start, S, offset, count):
    """Add to each sum the row of each of the NARROW tables that its word names."""
    for r in range(count):
        at = offset + 16 * r
        store(S, at, add_narrow_rows(T, word_at(words, start + r), load_line(S, at)))


@kernel
def tile_sums(words, V, start, stride, e, first, count, T, S):
    """S[k, :] = masked sums of 16 columns of V for the neurons first ... first + count - 1.

    Sample i of these columns is at the flat offset start + i stride of V. The rows of T say which tables it holds.
    """
    groups, width = words.shape
    S[:count] = 0.0
    for column in range(0, 16, T.shape[1]):
        for group in range(groups):
            place = group * width + first
            if T.shape[0] == WIDE_ROWS:
                build_tables(T, WIDE, V, start + column, stride, e, 64 * group)
                add_wide(T, words, place, S, column, count)
            else:
                build_tables(T, NARROW, V, start + column, stride, e, 64 * group)
                add_narrow(T, words, place, S, column, count)


@kernel
def write_sums(S, tile, first, count, scale, out):
    """out[first + k, 16 tile + j] = scale[first + k] S[k, j]; 0 if all of these are finite, else NaN."""
    columns, seen = out.shape[1], zeros(S)
    for k in range(count):
        value = broadcast(scale, first + k) * load(S, 16 * k)
        seen = seen + value * zeros(S)
        if 16 * (tile + 1) <= columns:
            store(out, (first + k) * columns + 16 * tile, value)
        else:
            store(S, 16 * k, value)
            for j in range(columns - 16 * tile):
                out[first + k, 16 * tile + j] = S[k, j]
    return total(seen)


@kernel(parallel=True)
def masked_sums(words, V, e, scale, tables, sums, out, finite):
    """out[r, c] = scale[r] sum_i M[i, r] e[i] V[i, c] for a row-major out (m, p); a set of tables a thread.

    finite (tiles, blocks of neurons) receives 0 where all entries are finite, else NaN.
    """
    m, block = out.shape[0], sums.shape[1]
    tiles, blocks = finite.shape
    for task in numba.prange(tiles * blocks):
        tile, part = task % tiles, task // tiles
        first = part * block
        count = min(block, m - first)
        thread = numba.get_thread_id()
        S = sums[thread]
        tile_sums(words, V, tile * e.size * 16, 16, e, first, count, tables[thread], S)
        finite[tile, part] = write_sums(S, tile, first, count, scale, out)
