"""Bits times bits: ``C[i, j] = sum_r M[i, r] M[j, r]`` and the Gram matrix ``H = (X X^T) * C / m``.

Layout: words over neurons in panels of eight samples, ``[panel][word][8]``: one vector holds the same word of
    8 samples.
Owner: a task has a pair of blocks of 32 samples and writes it and its mirror image, so C is exactly symmetric.
Method: outer product in registers, one broadcast word of 4 samples against 4 vectors; no horizontal sums.
Cost: n^2 m / 2 bit products, 3 vector instructions (and, popcount, add) per 512 of them.
Bound: issue, 3/2 cycles where two 512-bit instructions issue a cycle: 2/3 of the limit of one 512-bit popcount a cycle.
Machine: two cores with AVX-512, of which kind is not on record.
Accumulation: 64-bit lanes, exact for every m below 2^63.
Rejected: carry-save adders with vpternlog (2.5 instead of 3 instructions, but 0.91-1.05x measured), row-dot
    form (horizontal sums), mirroring afterwards (as long as the counting at n = 4096).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import popcount, store_transposed, transpose_bits
from fastntk.kernels.cpu.lanes import broadcast, load, store, zeros

BLOCK = 32  # samples of a block: four panels
SUPER = 16  # blocks of a super-block: a row of one is a page of counts, so that a page is filled while it is in cache
WORDS = 1024  # words of a pass: four panels of that length stay in the second-level cache


@kernel(parallel=True)
def to_panels(bits, panels):
    """panels (4 blocks, words, 8): the 8 x 64 bit transposes of the mask bytes; panels past the last row are zero."""
    rows, width = bits.shape
    for row in numba.prange(rows):
        for word in range(width // 64):
            for j in range(8):
                panels[row, word, j] = transpose_bits(bits, row * width + 64 * word, j)


@kernel
def four_by_four(P, Q, words, panel, lane, block, first, last, C, row):
    """C[row + q, :] += counts of sample `lane + q` of `panel` of P against the samples of `block` of Q, q < 4."""
    c00 = c01 = c02 = c03 = c10 = c11 = c12 = c13 = zeros(C)
    c20 = c21 = c22 = c23 = c30 = c31 = c32 = c33 = c00
    stride = words * 8
    left = panel * stride + lane
    right = 4 * block * stride
    for w in range(first, last):
        b0 = load(Q, right + 8 * w)
        b1 = load(Q, right + stride + 8 * w)
        b2 = load(Q, right + 2 * stride + 8 * w)
        b3 = load(Q, right + 3 * stride + 8 * w)
        s = broadcast(P, left + 8 * w)
        c00 = c00 + popcount(s & b0)
        c01 = c01 + popcount(s & b1)
        c02 = c02 + popcount(s & b2)
        c03 = c03 + popcount(s & b3)
        s = broadcast(P, left + 8 * w + 1)
        c10 = c10 + popcount(s & b0)
        c11 = c11 + popcount(s & b1)
        c12 = c12 + popcount(s & b2)
        c13 = c13 + popcount(s & b3)
        s = broadcast(P, left + 8 * w + 2)
        c20 = c20 + popcount(s & b0)
        c21 = c21 + popcount(s & b1)
        c22 = c22 + popcount(s & b2)
        c23 = c23 + popcount(s & b3)
        s = broadcast(P, left + 8 * w + 3)
        c30 = c30 + popcount(s & b0)
        c31 = c31 + popcount(s & b1)
        c32 = c32 + popcount(s & b2)
        c33 = c33 + popcount(s & b3)
    o = row * BLOCK
    store(C, o, load(C, o) + c00)
    store(C, o + 8, load(C, o + 8) + c01)
    store(C, o + 16, load(C, o + 16) + c02)
    store(C, o + 24, load(C, o + 24) + c03)
    store(C, o + 32, load(C, o + 32) + c10)
    store(C, o + 40, load(C, o + 40) + c11)
    store(C, o + 48, load(C, o + 48) + c12)
    store(C, o + 56, load(C, o + 56) + c13)
    store(C, o + 64, load(C, o + 64) + c20)
    store(C, o + 72, load(C, o + 72) + c21)
    store(C, o + 80, load(C, o + 80) + c22)
    store(C, o + 88, load(C, o + 88) + c23)
    store(C, o + 96, load(C, o + 96) + c30)
    store(C, o + 104, load(C, o + 104) + c31)
    store(C, o + 112, load(C, o + 112) + c32)
    store(C, o + 120, load(C, o + 120) + c33)


@kernel
def add_block_counts(P, Q, n, rows, columns, C):
    """C (32, 32) += counts of the samples of block `rows` of P, as far as there are n, against block `columns` of Q."""
    words = P.shape[1]
    for first in range(0, words, WORDS):
        last = min(first + WORDS, words)
        for q in range(0, min(BLOCK, n - BLOCK * rows), 4):
            four_by_four(P, Q, words, 4 * rows + q // 8, q % 8, columns, first, last, C, q)


@kernel
def block_counts(P, n, rows, columns, C):
    """C (32, 32) = counts of the samples of block `rows`, as far as there are n, against those of `columns`."""
    for q in range(BLOCK * BLOCK // 8):
        store(C, 8 * q, zeros(C))
    add_block_counts(P, P, n, rows, columns, C)


@kernel
def write_block(C, top, left, out):
    """Copy the words C (32, 32) to out[top:, left:] and their mirror image, as far as out reaches."""
    n = out.shape[0]
    height, width = min(BLOCK, n - top), min(BLOCK, n - left)
    if height == BLOCK and width == BLOCK:
        for i in range(BLOCK):
            for j in range(0, BLOCK, 8):
                store(out, (top + i) * n + left + j, load(C, i * BLOCK + j))
        for i in range(0, BLOCK, 8):
            for j in range(0, BLOCK, 8):
                store_transposed(out, (left + j) * n + top + i, n, C, i * BLOCK + j, BLOCK)
    else:
        for i in range(height):
            for j in range(width):
                out[top + i, left + j] = C[i, j]
                out[left + j, top + i] = C[i, j]


@kernel(parallel=True)
def coactivation_counts(P, pairs, scratch, out):
    """out (n, n) as words, both triangles; pairs (tasks, 2) lists the pairs of blocks."""
    for task in numba.prange(pairs.shape[0]):
        rows, columns = pairs[task, 0], pairs[task, 1]
        C = scratch[numba.get_thread_id()]
        block_counts(P, out.shape[0], rows, columns, C)
        write_block(C, BLOCK * rows, BLOCK * columns, out)


@kernel
def scale_block(C, K, m, top, left, H):
    """H (32, 32) = K * C / m for one block."""
    n = np.uint64(K.shape[0])
    height, width = min(BLOCK, K.shape[0] - top), min(BLOCK, K.shape[0] - left)
    counts, products, block = C.reshape(-1), K.reshape(-1), H.reshape(-1)
    for i in range(height):
        source, target = np.uint64(top + i) * n + np.uint64(left), np.uint64(BLOCK * i)
        for j in range(np.uint64(width)):
            block[target + j] = products[source + j] * np.float64(np.int64(counts[target + j])) / m


@kernel(parallel=True)
def gram_from_panels(P, K, m, pairs, scratch, blocks, words, out):
    """out (n, n) = K * C / m in float64 for a symmetric K; `out`, and `blocks` as `words`, are seen as words."""
    for task in numba.prange(pairs.shape[0]):
        rows, columns = pairs[task, 0], pairs[task, 1]
        thread = numba.get_thread_id()
        block_counts(P, out.shape[0], rows, columns, scratch[thread])
        scale_block(scratch[thread], K, m, BLOCK * rows, BLOCK * columns, blocks[thread])
        write_block(words[thread], BLOCK * rows, BLOCK * columns, out)
