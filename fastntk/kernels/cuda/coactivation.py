"""Bits times bits: ``C[i, j] = sum_r M[i, r] N[j, r]``, and Gram matrices ``H = (X X^T) * C / m``.

Three ways, by arithmetic for an H200 (132 SMs at 1.75 GHz; datasheet figures), a bit product being the
AND of two bits and its count:
    popcount (here): 16 words of 32 bits a cycle and SM, 0.12 P bit products a second; only half the matrix is computed,
        so 0.24 P/s of the n^2 m.
    int8 matrix units: zeros and ones as bytes, 0.99 P/s, sums in int32 exact for m < 2^31; n m bytes once. By panels of
        rows that end at the diagonal (`plans.Counting`) a little more than half the matrix is computed, in 20 rounds
        of 128 x 128 tiles instead of 32 at n = 8192: 1.6 P/s of the n^2 m. The way where there is a vendor library.
    bf16 matrix units: half of that, and exact to m = 2^24 only. One-bit matrix units (and.popc, native on sm_80 to
        sm_90) are faster still on paper, but there is no library for them and neither package compiles them.
Machine: on an H100 the int8 way takes 7.83 ms for n = 8192, m = 131072: 1.12 P/s of the n^2 m, 2.1 times as fast as
    torch's int8 product; popcount is not measured there.
Layout: words over neurons ``(samples, width / 32)``, made from the mask bytes by `to_words`. A block owns 64 x 64
    counts, if symmetric on or below the diagonal, and writes them and then their mirror image too; a thread owns 4 x 4,
    16 apart, so that no two threads of a warp meet in a bank. 32 words of 128 samples at a time go through shared
    memory.
Cost: n^2 m / 64 popcounts at 2 cycles a warp; beside each an AND and an addition (half a cycle each) and half a
    load from shared memory: popcount is the bound.
Accumulation: int32 per pair, exact for m < 2^31; pieces of more neurons are added in int64.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel

_TILE = 64  # samples along the side of a block
_CHUNK = 32  # words in shared memory
_PITCH = _CHUNK + 1
_SIDE = 16  # threads along the side of a block; a thread has every 16th row and column
_EACH = _TILE // _SIDE
_THREADS = 128
_BLOCK = (32, 4)  # threads of the passes over a matrix of counts


@kernel
def to_words_kernel(words_of_bits, first, words):
    """See `to_words`."""
    w = cuda.blockIdx.y * _THREADS + cuda.threadIdx.x
    group = cuda.blockIdx.x
    if w < words.shape[1]:
        start = first // 4 + 8 * w
        inside = start < words_of_bits.shape[1]
        for j in range(8):
            word = np.uint32(0)
            for q in range(8):
                octets = words_of_bits[group, start + q] if inside else np.uint32(0)
                x = (octets >> np.uint32(j)) & np.uint32(0x01010101)
                x |= x >> np.uint32(7)  # bits 0, 8, 16, 24 to 0, 1 and 16, 17
                x |= x >> np.uint32(14)
                word |= (x & np.uint32(15)) << np.uint32(4 * q)
            words[8 * group + j, w] = word


def to_words(words_of_bits, first, words, stream=0):
    """words (16 tiles, count / 32): bits by sample of `count` neurons from `first`, multiples of 32; zeros beyond.

    From the mask bytes (rows, width / 4) seen as uint32.
    """
    grid = words_of_bits.shape[0], -(-words.shape[1] // _THREADS)
    to_words_kernel[grid, _THREADS, stream](words_of_bits, first, words)


@kernel
def coactivation_counts_kernel(left, right, symmetric, add, out):
    """See `coactivation_counts`."""
    mine = cuda.shared.array((_TILE, _PITCH), np.uint32)
    others = cuda.shared.array((_TILE, _PITCH), np.uint32)
    counts = cuda.local.array((_EACH, _EACH), np.int32)
    if symmetric and cuda.blockIdx.x < cuda.blockIdx.y:
        return
    n, k = out.shape
    top, first = cuda.blockIdx.x * _TILE, cuda.blockIdx.y * _TILE
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    thread = y * _SIDE + x
    for a in range(_EACH):
        for b in range(_EACH):
            counts[a, b] = 0
    for start in range(0, left.shape[1], _CHUNK):
        w = start + thread % _CHUNK
        for row in range(thread // _CHUNK, _TILE, _SIDE * _SIDE // _CHUNK):
            here = w < left.shape[1]
            mine[row, thread % _CHUNK] = (
                left[top + row, w] if here and top + row < left.shape[0] else np.uint32(0)
            )
            others[row, thread % _CHUNK] = (
                right[first + row, w] if here and first + row < right.shape[0] else np.uint32(0)
            )
        cuda.syncthreads()
        for c in range(_CHUNK):
            for a in range(_EACH):
                word = mine[y + _SIDE * a, c]
                for b in range(_EACH):
                    counts[a, b] += cuda.popc(word & others[x + _SIDE * b, c])
        cuda.syncthreads()
    for a in range(_EACH):
        for b in range(_EACH):
            i, j = top + y + _SIDE * a, first + x + _SIDE * b
            if i < n and j < k and (j <= i or not symmetric):
                count = np.int64(counts[a, b])
                if add:
                    count += out[i, j]
                out[i, j] = count
                if symmetric:
                    out[j, i] = count


def coactivation_counts(left, right, symmetric, add, out, stream=0):
    """out (n, k) int64, by popcount, from words (n or k rows or more, width / 32) as `to_words` makes them.

    symmetric: right is left, and half of the work is enough; add: to what out (then symmetric) holds.
    """
    grid = -(-out.shape[0] // _TILE), -(-out.shape[1] // _TILE)
    coactivation_counts_kernel[grid, (_SIDE, _SIDE), stream](left, right, symmetric, add, out)


def _grid(out):
    return -(-out.shape[1] // _BLOCK[0]), -(-out.shape[0] // _BLOCK[1])


@kernel
def write_counts_kernel(part, symmetric, add, out):
    """See `write_counts`."""
    j, i = cuda.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        count = np.int64(part[j, i] if symmetric and j > i else part[i, j])
        if add:
            count += out[i, j]
        out[i, j] = count


def write_counts(part, symmetric, add, out, stream=0):
    """out (n, k) int64 = part, or += with `add`; of a symmetric part the lower triangle is read.

    part is an int32 matrix with n rows and k columns, or more.
    """
    write_counts_kernel[_grid(out), _BLOCK, stream](part, symmetric, add, out)
