"""Ends of intervals ``x.z [p_lower, p_upper]`` from counts, by tables of both ends for all counts from `least` upwards.

Layout: everything row-major (n, k); threads walk through the entries in steps of the grid, and each writes its own.
    Which counts occur is marked by bytes: threads may meet there, but all write a 1.
Cost: bound by memory: 8 bytes an entry to mark, 40 for the ends; the tables, 16 bytes a count that can occur, are read
    at random, mostly from the second-level cache. One inverse beta function for each distinct count is the host's.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.conversion import BLOCK, blocks_of


@kernel
def mark_counts_kernel(counts, seen):
    """See `mark_counts`."""
    columns = counts.shape[1]
    for k in range(cuda.grid(1), counts.size, cuda.gridsize(1)):
        seen[counts[k // columns, k % columns]] = 1


def mark_counts(counts, seen, stream=0):
    """seen[c] = 1 for every c among the counts (n, k) int64; seen (most possible + 1,) uint8."""
    mark_counts_kernel[blocks_of(counts.size), BLOCK, stream](counts, seen)


@kernel
def gram_interval_kernel(counts, least, lower_ends, upper_ends, m, gram, lower, upper):
    """See `gram_interval`."""
    columns = gram.shape[1]
    for k in range(cuda.grid(1), gram.size, cuda.gridsize(1)):
        i, j = k // columns, k % columns
        inner, count = gram[i, j], counts[i, j]
        low, high = inner * lower_ends[count - least], inner * upper_ends[count - least]
        gram[i, j] = inner * np.float64(count) / m
        lower[i, j] = high if inner < 0.0 else low
        upper[i, j] = low if inner < 0.0 else high


def gram_interval(counts, least, lower_ends, upper_ends, m, gram, lower, upper, stream=0):
    """gram (n, k), products of points, becomes the Gram matrix; lower and upper the ends of its intervals; float64.

    lower_ends[c - least], upper_ends[c - least]: the interval of the probability behind count c of m, a float.
    """
    gram_interval_kernel[blocks_of(gram.size), BLOCK, stream](
        counts, least, lower_ends, upper_ends, m, gram, lower, upper
    )
