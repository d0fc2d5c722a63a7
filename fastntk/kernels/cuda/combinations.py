"""Sums of two states of one shape: the mean that a Runge-Kutta step takes, and weights from where they started.

Layout: contiguous arrays of any shape, both in one precision; threads walk through the entries in steps of the grid.
Cost: bound by memory, two reads and a write of each entry.
"""

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.conversion import BLOCK, blocks_of


@kernel
def mean_kernel(share, rest, kept, values):
    """See `mean`."""
    first, second = values.dtype.type(share), values.dtype.type(rest)
    for k in range(cuda.grid(1), values.shape[0], cuda.gridsize(1)):
        values[k] = first * kept[k] + second * values[k]


def mean(share, kept, values, stream=0):
    """``values = share kept + (1 - share) values``."""
    mean_kernel[blocks_of(values.size), BLOCK, stream](share, 1.0 - share, kept.ravel(), values.ravel())


@kernel
def add_kernel(start, change, out):
    """See `add`."""
    for k in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        out[k] = start[k] + change[k]


def add(start, change, out, stream=0):
    """``out = start + change``; out may be either of them."""
    add_kernel[blocks_of(out.size), BLOCK, stream](start.ravel(), change.ravel(), out.ravel())
