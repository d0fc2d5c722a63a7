"""Products of the samples, ``K = X X^T``, as a matrix or in tiles of 16 columns.

Layout: X row-major. float32 rows are converted some columns at a time, in scratch: there is no float64 copy of X.
Owner: a task has a pair of blocks of rows: one single-threaded BLAS product into scratch, written together with its
    mirror image, so K is exactly symmetric.
Cost: n^2 d / 2 multiply-adds of BLAS; n^2 entries written.
Bound: these products.
Machine: any; nothing here is measured on its own.
Accumulation: float64, BLAS over columns; tiles are rounded to their precision at the end.
Rejected: one multi-threaded BLAS call (its idle workers spin on the cores that the next kernel needs).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel

COLUMNS = 128  # converted at a time


@kernel
def converted(X, top, height, first, some, flat):
    """The rows from `top` and columns from `first` in float64, contiguous in the scratch `flat`."""
    rows = flat[: height * some].reshape(height, some)
    for i in range(height):
        rows[i] = X[top + i, first : first + some]
    return rows


@kernel
def converted_product(X, top, height, left, width, operands, part, tile):
    """``tile = X[top :] X[left :]^T`` of some rows of X in float32; part is scratch like tile."""
    for first in range(0, X.shape[1], COLUMNS):
        some = min(COLUMNS, X.shape[1] - first)
        A = converted(X, top, height, first, some, operands[0])
        B = A if top == left else converted(X, left, width, first, some, operands[1])
        np.dot(A, B.T, part if first else tile)
        if first:
            for i in range(height):
                for j in range(width):
                    tile[i, j] += part[i, j]


@kernel
def write_products(tile, top, left, out, tile_stride, row_stride):
    """Write a block of products and its mirror image."""
    height, width = tile.shape
    for i in range(top, top + height):
        mirrored = (i >> 4) * tile_stride + (i & 15)
        for j in range(i if top == left else left, left + width):
            value = tile[i - top, j - left]
            out[np.uint64((j >> 4) * tile_stride + i * row_stride + (j & 15))] = value
            out[np.uint64(mirrored + j * row_stride)] = value


@kernel(parallel=True)
def products(X, pairs, rows, sums, out, tile_stride, row_stride):
    """Entry (i, j) goes to the flat offset ``j // 16 tile_stride + i row_stride + j % 16`` of out; X is float64.

    pairs (tasks, 2) lists pairs of blocks of so many rows; sums (threads, 2, rows rows) is scratch in float64.
    """
    for task in numba.prange(len(pairs)):
        here, top, left = sums[numba.get_thread_id()], rows * pairs[task, 0], rows * pairs[task, 1]
        height, width = min(rows, len(X) - top), min(rows, len(X) - left)
        tile = here[0, : height * width].reshape(height, width)
        np.dot(X[top : top + height], X[left : left + width].T, tile)
        write_products(tile, top, left, out, tile_stride, row_stride)


@kernel(parallel=True)
def products_of_float32(X, pairs, rows, operands, sums, out, tile_stride, row_stride):
    """`products` for X in float32; operands (threads, 2, rows COLUMNS) is scratch in float64 too."""
    for task in numba.prange(len(pairs)):
        thread, top, left = numba.get_thread_id(), rows * pairs[task, 0], rows * pairs[task, 1]
        height, width = min(rows, len(X) - top), min(rows, len(X) - left)
        tile = sums[thread, 0, : height * width].reshape(height, width)
        part = sums[thread, 1, : height * width].reshape(height, width)
        converted_product(X, top, height, left, width, operands[thread], part, tile)
        write_products(tile, top, left, out, tile_stride, row_stride)
