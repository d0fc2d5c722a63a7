"""Limit kernels of all pairs of rows: ``|x||z|`` times a function of their angle, through any number of layers.

Layout: points and result row-major, a tile of the result in scratch that stays in cache.
Owner: a task has one tile of the result; a single-threaded BLAS product in the precision of the result gives x.z, and
    vectorised passes over one row at a time turn it into kernel values. Without Z only tiles on and below the diagonal
    are computed, each written twice.
Recursion: in t = 1 - |cos|, not in cos: with p = acos(1 - t)/pi and g = (sin - phi cos)/pi (`angles`) one layer
    is t -> t - g (negative cosines: 1 - g), kappa_0 = 1 - p (negative: p). Nearly parallel rows keep their
    relative accuracy through every layer.
Near pairs: a product of rounded rows carries t to a few units of rounding only. Pairs with t < NEAR take t =
    |u -+ v|^2 / 2 from their unit rows in float64 instead. Entries then err by about 1e-14 |x||z| in float64
    and 1e-6 |x||z| in float32.
Cost: n^2 d multiply-adds of BLAS (symmetric: half); a layer is one square root and 13 (float64: 35) multiply-adds a
    pair.
Bound: the product.
Machine: Zen 4, 2 cores.
Accumulation: BLAS over columns in the precision of the result; of near pairs float64.
Rejected: one multi-threaded BLAS product of a block of rows, then the pass: its idle workers spin on the cores
    the pass needs, and the block has left the cache. Edges of 512 (float64: 288): rows that share a few cache sets
    make the product 1.2-1.5x and the mirror image 2x slower.
"""

import math
from collections import namedtuple

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.angles import angle_series, moment_series

# Edges of a tile by precision, for small to large matrices: tiles stay in the second-level cache. Blocks of a matrix
# that is cut start at multiples of them (tiled.blocks), so that the parts have the bits of the whole.
EDGES = {"f": (128, 256, 320), "d": (96, 144, 240)}
NEAR = {"f": 1e-3, "d": 1e-4}  # t below which a pair is recomputed from its rows: 2.6 and 0.8 degrees

# One set of points. rows: for the product; exact: as given; inverse: 1/|row| (0 for zero rows); length: |exact|;
# square: |exact|^2 times the factor of all layers; size: its root. All but exact and length: precision of the result.
Points = namedtuple("Points", "rows exact inverse length size square")

FIRST, SECOND, BOTH, TERM = 0, 1, 2, 2  # the gradient of hidden layer h alone is TERM + h
SUMS = 16  # interleaved sums of a squared distance


@kernel
def cosine_row(row, inverse, inverses, t, near):
    """Products of one row to cosines, in place, and t = 1 - |cos|; returns how many t are below `near`."""
    count = 0
    zero = t.dtype.type(0)
    one = t.dtype.type(1)
    for j in range(row.size):
        cosine = row[j] * (inverse * inverses[j])
        rest = one - abs(cosine)
        rest = rest if rest > zero else zero
        row[j] = cosine
        t[j] = rest
        count += 1 if rest < near else 0
    return count


@kernel
def exact_t(x, z, length_x, length_z, negative, sums):
    """t of a nearly parallel (or `negative`: antiparallel) pair from the distance of the unit rows."""
    lanes, d = sums.size, x.size
    inverse_x = 1.0 / length_x
    inverse_z = (1.0 if negative else -1.0) / length_z
    for q in range(lanes):
        sums[q] = 0.0
    for k in range(0, d - lanes + 1, lanes):
        for q in range(lanes):
            difference = np.float64(x[k + q]) * inverse_x + np.float64(z[k + q]) * inverse_z
            sums[q] += difference * difference
    square = 0.0
    for k in range(d - d % lanes, d):
        difference = np.float64(x[k]) * inverse_x + np.float64(z[k]) * inverse_z
        square += difference * difference
    for q in range(lanes):
        square += sums[q]
    return 0.5 * square


@kernel
def first_row(row, t):
    """Layers "first" at depth 1: cos kappa_0, in place of the cosines."""
    one = t.dtype.type(1)
    zero = t.dtype.type(0)
    for j in range(row.size):
        angle = math.sqrt(t[j]) * angle_series(t[j])
        row[j] = row[j] * (one - angle if row[j] >= zero else angle)


@kernel
def second_row(row, t, depth):
    """Layers "second": the cosine after `depth` layers, in place of the first; t is used up."""
    one = t.dtype.type(1)
    zero = t.dtype.type(0)
    for j in range(row.size):
        moment = t[j] * math.sqrt(t[j]) * moment_series(t[j])
        t[j] = (t[j] if row[j] >= zero else one) - moment
        row[j] = max(row[j], zero) + moment
    for _layer in range(1, depth):
        for j in range(row.size):
            t[j] -= t[j] * math.sqrt(t[j]) * moment_series(t[j])
    if depth > 1:
        for j in range(row.size):
            row[j] = one - t[j]


@kernel
def both_row(row, t, depth):
    """Layers "both": tau after `depth` layers, in place of the cosines; t is used up."""
    one = t.dtype.type(1)
    zero = t.dtype.type(0)
    for j in range(row.size):
        root = math.sqrt(t[j])
        angle = root * angle_series(t[j])
        moment = t[j] * root * moment_series(t[j])
        acute = row[j] >= zero
        t[j] = (t[j] if acute else one) - moment
        row[j] = (max(row[j], zero) + moment) + row[j] * (one - angle if acute else angle)
    for _layer in range(1, depth):
        for j in range(row.size):
            root = math.sqrt(t[j])
            kappa = one - root * angle_series(t[j])
            t[j] -= t[j] * root * moment_series(t[j])
            row[j] = (one - t[j]) + row[j] * kappa


@kernel
def term_row(row, t, layer, depth):
    """Hidden layer `layer` of `depth`: the cosine before it times kappa_0 from there on, in place of the cosines."""
    one = t.dtype.type(1)
    zero = t.dtype.type(0)
    if layer > 1:
        second_row(row, t, layer - 1)
    for below in range(layer - 1, depth):
        for j in range(row.size):
            root = math.sqrt(t[j])
            angle = root * angle_series(t[j])
            acute = below > 0 or row[j] >= zero
            t[j] = (t[j] if acute else one) - t[j] * root * moment_series(t[j])
            row[j] *= one - angle if acute else angle


@kernel
def through_layers(row, t, layers, depth):
    """The kernel of unit vectors, in place of their cosines; t = 1 - |cos| is used up."""
    if layers == FIRST:
        first_row(row, t)
    elif layers == SECOND:
        second_row(row, t, depth)
    elif layers == BOTH:
        both_row(row, t, depth)
    else:
        term_row(row, t, layers - TERM, depth)


@kernel
def kernel_row(row, i, j0, x, z, layers, depth, near, diagonal, t, sums):
    """All passes over the products `row` of point i of x with the points of z from j0; `diagonal`: x is z."""
    one, zero = t.dtype.type(1), t.dtype.type(0)
    j1 = j0 + row.size
    count = cosine_row(row, x.inverse[i], z.inverse[j0:j1], t, near)
    if diagonal:
        row[i - j0], t[i - j0] = one, zero
        count -= 1
    if count > 0:
        for j in range(row.size):
            if t[j] < near and not (diagonal and i == j0 + j):
                negative = row[j] < zero
                t[j] = exact_t(x.exact[i], z.exact[j0 + j], x.length[i], z.length[j0 + j], negative, sums)
                row[j] = t[j] - one if negative else one - t[j]
    through_layers(row, t, layers, depth)
    scale_row(row, x.square[i], x.size[i], z.square[j0:j1], z.size[j0:j1])


@kernel
def scale_row(row, square, size, squares, sizes):
    """Times |x||z|; points of equal length take |x|^2, so that copies of a point get its diagonal to the bit."""
    zero = row.dtype.type(0)
    for j in range(row.size):
        product = square if squares[j] == square else size * sizes[j]
        row[j] = row[j] * product + zero  # no negative zero


@kernel(parallel=True)
def limit_tiles(x, z, symmetric, layers, depth, near, tasks, scratch, rows, sums, out):
    """out (n, k); tasks (count, 4): top, left, height, width; scratch, rows, sums: one row of each a thread."""
    for task in numba.prange(tasks.shape[0]):
        thread = numba.get_thread_id()
        top, left, height, width = tasks[task, 0], tasks[task, 1], tasks[task, 2], tasks[task, 3]
        tile = scratch[thread, : height * width].reshape((height, width))
        np.dot(x.rows[top : top + height], z.rows[left : left + width].T, tile)
        diagonal = symmetric and top == left
        for i in range(height):
            kernel_row(
                tile[i],
                top + i,
                left,
                x,
                z,
                layers,
                depth,
                near,
                diagonal,
                rows[thread, :width],
                sums[thread],
            )
        write(tile, top, left, symmetric, out)


@kernel
def write(tile, top, left, symmetric, out):
    """Copy the tile to its place and its mirror image; of a diagonal tile the lower half decides."""
    height, width = tile.shape
    if symmetric and top == left:
        for i in range(height):
            for j in range(i):
                tile[j, i] = tile[i, j]
    elif symmetric:
        for first in range(0, width, 16):  # one cache line of every row at a time
            for j in range(first, min(first + 16, width)):
                for i in range(height):
                    out[left + j, top + i] = tile[i, j]
    for i in range(height):
        for j in range(width):
            out[top + i, left + j] = tile[i, j]
