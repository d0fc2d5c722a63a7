"""Bits times bits: ``C[i, j] = sum_r M[i, r] M[j, r]`` and the Gram matrix ``H = (X X^T) * C / m``.

Three ways, by arithmetic for an H200 (132 SMs at 1.75 GHz; datasheet figures, not measured), a bit product being the
AND of two bits and its count:
    popcount (here): 16 words of 32 bits a cycle and SM, 0.12 P bit products a second; only half the matrix is computed,
        so 0.24 P/s of the n^2 m.
    int8 matrix units: zeros and ones as bytes, 0.99 P/s, sums in int32 exact for m < 2^31; n m bytes once. By panels of
        rows that end at the diagonal (`plans.Counting`) a little more than half the matrix is computed, in 20 rounds
        of 128 x 128 tiles instead of 32 at n = 8192: 1.6 P/s of the n^2 m. The way where there is a vendor library.
    bf16 matrix units: half of that, and exact to m = 2^24 only. One-bit matrix units (and.popc, native on sm_80 to
        sm_90) are faster still on paper, but there is no library for them and neither package compiles them.
Layout: words over neurons ``(samples, width / 32)``, made from the mask bytes by `to_words`. A block owns 64 x 64
    counts on or below the diagonal and writes them and their mirror image; a thread owns 4 x 4, 16 apart, so that no
    two threads of a warp meet in a bank. 32 words of 128 samples at a time go through shared memory.
Cost: n^2 m / 64 popcounts at 2 cycles a warp; beside each an AND and an addition (half a cycle each) and half a
    load from shared memory: popcount is the bound.
Accumulation: int32 per pair, exact for m < 2^31.
"""

import numpy as np

from fastntk.jit_cuda import cuda, kernel

_TILE = 64  # samples along the side of a block
_CHUNK = 32  # words in shared memory
_PITCH = _CHUNK + 1
_SIDE = 16  # threads along the side of a block; a thread has every 16th row and column
_EACH = _TILE // _SIDE
_THREADS = 128
_BLOCK = (32, 4)  # threads of the passes over a matrix of counts


@kernel
def to_words_kernel(words_of_bits, words):
    """See `to_words`."""
    w = cuda.blockIdx.y * _THREADS + cuda.threadIdx.x
    group = cuda.blockIdx.x
    if w < words.shape[1]:
        for j in range(8):
            word = np.uint32(0)
            for q in range(8):
                x = (words_of_bits[group, 8 * w + q] >> np.uint32(j)) & np.uint32(0x01010101)
                x |= x >> np.uint32(7)  # bits 0, 8, 16, 24 to 0, 1 and 16, 17
                x |= x >> np.uint32(14)
                word |= (x & np.uint32(15)) << np.uint32(4 * q)
            words[8 * group + j, w] = word


def to_words(words_of_bits, words, stream=0):
    """words (16 tiles, width / 32): the bits by sample, from the mask bytes (rows, width / 4), both seen as uint32."""
    grid = words_of_bits.shape[0], -(-words.shape[1] // _THREADS)
    to_words_kernel[grid, _THREADS, stream](words_of_bits, words)


@kernel
def coactivation_counts_kernel(words, out):
    """See `coactivation_counts`."""
    left = cuda.shared.array((_TILE, _PITCH), np.uint32)
    right = cuda.shared.array((_TILE, _PITCH), np.uint32)
    counts = cuda.local.array((_EACH, _EACH), np.int32)
    if cuda.blockIdx.x < cuda.blockIdx.y:
        return
    n = out.shape[0]
    top, first = cuda.blockIdx.x * _TILE, cuda.blockIdx.y * _TILE
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    thread = y * _SIDE + x
    for a in range(_EACH):
        for b in range(_EACH):
            counts[a, b] = 0
    for start in range(0, words.shape[1], _CHUNK):
        w = start + thread % _CHUNK
        for row in range(thread // _CHUNK, _TILE, _SIDE * _SIDE // _CHUNK):
            here = w < words.shape[1]
            left[row, thread % _CHUNK] = (
                words[top + row, w] if here and top + row < words.shape[0] else np.uint32(0)
            )
            right[row, thread % _CHUNK] = (
                words[first + row, w] if here and first + row < words.shape[0] else np.uint32(0)
            )
        cuda.syncthreads()
        for k in range(_CHUNK):
            for a in range(_EACH):
                word = left[y + _SIDE * a, k]
                for b in range(_EACH):
                    counts[a, b] += cuda.popc(word & right[x + _SIDE * b, k])
        cuda.syncthreads()
    for a in range(_EACH):
        for b in range(_EACH):
            i, j = top + y + _SIDE * a, first + x + _SIDE * b
            if i < n and j < n:
                out[i, j] = counts[a, b]
                out[j, i] = counts[a, b]


def coactivation_counts(words, out, stream=0):
    """out (n, n) int64, both triangles, by popcount, from words (n or more, width / 32) as `to_words` makes them."""
    blocks = -(-out.shape[0] // _TILE)
    coactivation_counts_kernel[(blocks, blocks), (_SIDE, _SIDE), stream](words, out)


def _grid(out):
    return -(-out.shape[1] // _BLOCK[0]), -(-out.shape[0] // _BLOCK[1])


@kernel
def mirror_kernel(lower, out):
    """See `mirror`."""
    j, i = cuda.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        out[i, j] = lower[i, j] if j <= i else lower[j, i]


def mirror(lower, out, stream=0):
    """out (n, n) int64, both triangles, from the lower triangle of an int32 matrix with n or more rows and columns."""
    mirror_kernel[_grid(out), _BLOCK, stream](lower, out)


@kernel
def gram_from_counts_kernel(K, C, m, out):
    """See `gram_from_counts`."""
    j, i = cuda.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        product = K[i, j] if j <= i else K[j, i]  # a vendor's K need not be symmetric to the last bit
        out[i, j] = product * np.float64(C[i, j]) / m


def gram_from_counts(K, C, m, out, stream=0):
    """out = K * C / m in float64, exactly symmetric; C holds int64 (n, n), m is a float; K's lower half is read."""
    gram_from_counts_kernel[_grid(out), _BLOCK, stream](K, C, m, out)
