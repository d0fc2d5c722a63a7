"""The Gram matrix of one range of rows and columns, ``H = s (X Z^T) * F / m + S / m``, a tile at a time.

F counts common activations: those in `counts` and those of the panels P and Q; or it is a weighted sum.
Layout: panels as in `coactivation`. Nothing of the size of the result is held but the result; unwanted sums have no
    elements.
Owner: a task has a tile of 160 x 160 samples: one single-threaded BLAS product into scratch, then, for each block of
    32 x 32, its counts, their product, and the write to its place and, if symmetric, to the mirror image.
Cost: n k d multiply-adds of BLAS in float64 and n k m bit products, half if symmetric.
Bound: as `coactivation`; products where d is above m / 20 or so.
Machine: two cores with AVX-512, of which kind is not on record.
Accumulation: counts in 64 bits, exact; everything else in float64, rounded once.
Rejected: strips of 64 ... 256 x 1024 samples (BLAS 3 % faster, but the tasks are unequal).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.coactivation import BLOCK, add_block_counts
from fastntk.kernels.cpu.gram_sums import ROWS
from fastntk.kernels.cpu.lane_bits import store_transposed
from fastntk.kernels.cpu.lanes import load, store, zeros

SIDE = ROWS // BLOCK  # blocks along the side of a tile
# Rows of a tile on the diagonal that are multiplied on their own: a quarter of its products saved.
SPLIT = 2 * BLOCK


@kernel(parallel=True)
def add_counts(P, Q, bottom, right, symmetric, tiles, counts):
    """counts (tasks, 25, 32, 32) += those of the panels, for the blocks of each tile on or below the diagonal."""
    for task in numba.prange(tiles.shape[0]):
        for b in range(SIDE * SIDE):
            row = tiles[task, 0] + b // SIDE * BLOCK
            column = tiles[task, 1] + b % SIDE * BLOCK
            if row < bottom and column < right and (row >= column or not symmetric):
                add_block_counts(P, Q, bottom, row // BLOCK, column // BLOCK, counts[task, b])


@kernel
def counted(C, K, width, shift, rows, columns, scale, m, values):
    """values (32, 32) = scale K C / m in the two ranges of the block; its [0, 0] is K.flat[shift]."""
    products, counts, block = K.reshape(-1), C.reshape(-1), values.reshape(-1)
    for i in range(rows[0], rows[1]):
        source = np.uint64(shift + i * width + columns[0])
        target = np.uint64(BLOCK * i + columns[0])
        for j in range(np.uint64(columns[1] - columns[0])):
            count = np.float64(np.int64(counts[target + j]))
            block[target + j] = products[source + j] * scale * count / m


@kernel
def summed(S, row, column, K, width, shift, rows, columns, m, values):
    """values (32, 32) = K S / m, or S / m added to values if K is empty; S (160, 160) from [row, column]."""
    products = K.reshape(-1)
    for i in range(rows[0], rows[1]):
        for j in range(columns[0], columns[1]):
            if K.size:
                values[i, j] = products[shift + i * width + j] * S[row + i, column + j] / m
            else:
                values[i, j] += S[row + i, column + j] / m


@kernel
def write_values(values, rows, columns, top, left, symmetric, diagonal, out):
    """out[top + i, left + j] = values[i, j] and the mirror image; of a block on the diagonal the lower half counts."""
    n = out.shape[1]
    whole = rows[1] - rows[0] == BLOCK and columns[1] - columns[0] == BLOCK
    if whole and not diagonal and out.itemsize == 8:
        for i in range(BLOCK):
            for j in range(0, BLOCK, 16):
                store(out, (top + i) * n + left + j, load(values, i * BLOCK + j))
        if symmetric:
            for i in range(0, BLOCK, 8):
                for j in range(0, BLOCK, 8):
                    store_transposed(out, (left + j) * n + top + i, n, values, i * BLOCK + j, BLOCK)
    else:
        for i in range(rows[0], rows[1]):
            for j in range(columns[0], min(columns[1], i + 1) if diagonal else columns[1]):
                out[top + i, left + j] = values[i, j]
                if symmetric:
                    out[left + j, top + i] = values[i, j]


@kernel(parallel=True)
def gram_tiles(
    X, Z, tiles, corner, symmetric, scale, m, P, Q, counts, weighted, second, products, scratch, blocks, out
):
    """out = X Z^T * F; corner: rows of P [0] ... [1] are those of X, rows of Q [2] ... [3] those of Z."""
    top, bottom, left, right = corner
    for task in numba.prange(tiles.shape[0]):
        thread = numba.get_thread_id()
        first_row, first_column = max(tiles[task, 0], top), max(tiles[task, 1], left)
        height = min(tiles[task, 0] + ROWS, bottom) - first_row
        width = min(tiles[task, 1] + ROWS, right) - first_column
        split = SPLIT if symmetric and first_row == first_column == tiles[task, 0] and height > SPLIT else 0
        products_of_tile = products[thread].reshape(-1)
        K = products_of_tile[: split * split].reshape(split, split)
        L = products_of_tile[split * split : split * split + (height - split) * width]
        L = L.reshape(height - split, width)
        C, values = scratch[thread], blocks[thread]
        if P.size or counts.size or weighted.size:
            x, z = first_row - top, first_column - left
            if split:
                np.dot(X[x : x + split], Z[z : z + split].T, K)
            np.dot(X[x + split : x + height], Z[z : z + width].T, L)
        for b in range(SIDE * SIDE):
            inner_row, inner_column = b // SIDE * BLOCK, b % SIDE * BLOCK
            row, column = tiles[task, 0] + inner_row, tiles[task, 1] + inner_column
            rows = max(0, top - row), min(BLOCK, bottom - row)
            columns = max(0, left - column), min(BLOCK, right - column)
            if rows[0] >= rows[1] or columns[0] >= columns[1] or (symmetric and row < column):
                continue
            # Of a tile on the diagonal, the first rows are wanted as far as the diagonal only.
            if inner_row < split:
                part, stride, shift = K, split, inner_row * split + inner_column
            else:
                part, stride, shift = L, width, (row - first_row - split) * width + column - first_column
            if weighted.size:
                summed(weighted[task], inner_row, inner_column, part, stride, shift, rows, columns, m, values)
            elif P.size or counts.size:
                for k in range(0, BLOCK * BLOCK, 8):
                    store(
                        C,
                        k,
                        load(counts, (task * SIDE * SIDE + b) * BLOCK * BLOCK + k)
                        if counts.size
                        else zeros(C),
                    )
                if P.size:
                    add_block_counts(P, Q, bottom, row // BLOCK, column // BLOCK, C)
                counted(C, part, stride, shift, rows, columns, scale, m, values)
            else:
                values[:] = 0.0
            if second.size:
                nothing = K[:0]
                summed(second[task], inner_row, inner_column, nothing, 0, 0, rows, columns, m, values)
            diagonal = symmetric and row == column
            write_values(values, rows, columns, row - top, column - left, symmetric, diagonal, out)
