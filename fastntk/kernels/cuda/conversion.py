"""What arrays of other libraries need before the kernels of this package: contiguous floats, known to be finite.

Layout: sources of any strides and number type, targets contiguous float32 or float64; packed masks as `fastntk.packing`
    says. Threads walk through the entries in steps of the grid, and each writes its own.
Cost: each source read and each target written once; bound by memory bandwidth.
"""

import math

import numpy as np

from fastntk.jit_cuda import cuda, kernel

BLOCK = 128
MOST_BLOCKS = 1024  # enough threads to fill any device; beyond, each takes several entries


@kernel
def _convert(source, target, most, flags):
    rows, columns = source.shape
    for k in range(cuda.grid(1), rows * columns, cuda.gridsize(1)):
        i, j = k // columns, k % columns
        value = source[i, j]
        if not math.isfinite(value):
            flags[0] = 1
        elif abs(value) > most:
            flags[1] = 1
        else:
            target[i, j] = value


@kernel
def _convert_vector(source, target, most, flags):
    for i in range(cuda.grid(1), source.shape[0], cuda.gridsize(1)):
        value = source[i]
        if not math.isfinite(value):
            flags[0] = 1
        elif abs(value) > most:
            flags[1] = 1
        else:
            target[i] = value


@kernel
def _zero(values):
    for k in range(cuda.grid(1), values.shape[0], cuda.gridsize(1)):
        values[k] = 0


@kernel
def _unpack(bits, dense):
    n, m = dense.shape
    for k in range(cuda.grid(1), n * m, cuda.gridsize(1)):
        i, r = k // m, k % m
        dense[i, r] = (bits[i // 8, r] >> (i % 8)) & 1 != 0


def _blocks(entries):
    return min(-(-entries // BLOCK), MOST_BLOCKS)


def convert(source, target, flags, stream=0):
    """target = source; flags[0] becomes 1 if an entry is not finite, flags[1] if one is too large for the target."""
    run = _convert if len(source.shape) == 2 else _convert_vector
    run[_blocks(target.size), BLOCK, stream](source, target, float(np.finfo(target.dtype).max), flags)


def zero(values, stream=0):
    """values = 0, for contiguous values of any shape."""
    flat = values.ravel()
    _zero[_blocks(flat.size), BLOCK, stream](flat)


def unpack(bits, dense, stream=0):
    """dense (n, m) = the packed bits as booleans."""
    _unpack[_blocks(dense.size), BLOCK, stream](bits, dense)
