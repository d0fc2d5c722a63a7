"""What arrays of other libraries need before the kernels of this package: contiguous floats, known to be finite.

Layout: sources of any strides and number type, targets contiguous float32 or float64; packed masks as
    `fastntk.base.packing` says. Threads walk through the entries in steps of the grid, and each writes its own.
Cost: each source read and each target written once; bound by memory bandwidth.
"""

import math

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel

BLOCK = 128
_EACH = 64  # entries of a thread, so that small arrays take few blocks
_MOST_BLOCKS = 2048  # enough threads to fill any device; beyond, each takes more entries


@kernel
def convert_kernel(source, target, copies, most, flags):
    """See `convert`."""
    rows, columns = source.shape
    for k in range(cuda.grid(1), rows * columns, cuda.gridsize(1)):
        i, j = k // columns, k % columns
        value = np.float64(source[i, j])
        if not math.isfinite(value):
            flags[0] = 1
        elif abs(value) > most:
            flags[1] = 1
        elif copies:
            target[i, j] = value


@kernel
def convert_vector_kernel(source, target, copies, most, flags):
    """See `convert`."""
    for i in range(cuda.grid(1), source.shape[0], cuda.gridsize(1)):
        value = np.float64(source[i])
        if not math.isfinite(value):
            flags[0] = 1
        elif abs(value) > most:
            flags[1] = 1
        elif copies:
            target[i] = value


@kernel
def copy_kernel(source, target):
    """See `copy`."""
    columns = source.shape[1]
    for k in range(cuda.grid(1), source.size, cuda.gridsize(1)):
        target[k // columns, k % columns] = source[k // columns, k % columns]


@kernel
def copy_vector_kernel(source, target):
    """See `copy`."""
    for i in range(cuda.grid(1), source.size, cuda.gridsize(1)):
        target[i] = source[i]


@kernel
def zero_kernel(values):
    """See `zero`."""
    for k in range(cuda.grid(1), values.shape[0], cuda.gridsize(1)):
        values[k] = 0


@kernel
def unpack_kernel(bits, dense):
    """See `unpack`."""
    n, m = dense.shape
    for k in range(cuda.grid(1), n * m, cuda.gridsize(1)):
        i, r = k // m, k % m
        dense[i, r] = (bits[i // 8, r] >> (i % 8)) & 1 != 0


@kernel
def pack_kernel(dense, bits):
    """See `pack`."""
    n, m = dense.shape
    width = bits.shape[1]
    for k in range(cuda.grid(1), bits.shape[0] * width, cuda.gridsize(1)):
        group, r = k // width, k % width
        octet = np.uint32(0)
        for j in range(8):
            i = 8 * group + j
            if i < n and r < m and dense[i, r]:
                octet |= np.uint32(1 << j)
        bits[group, r] = np.uint8(octet)


@kernel
def mirror_kernel(values, factor):
    """See `mirror`."""
    n = values.shape[0]
    for k in range(cuda.grid(1), n * n, cuda.gridsize(1)):
        i, j = k // n, k % n
        if j <= i:
            value = factor * values[i, j]
            values[i, j] = value
            values[j, i] = value


def blocks_of(entries):
    """Blocks for threads that walk through so many entries."""
    return min(-(-entries // (_EACH * BLOCK)), _MOST_BLOCKS)


def convert(source, target, flags, stream=0):
    """target = source; flags[0] becomes 1 if an entry is not finite, flags[1] if one is too large for the target.

    If target is source nothing but the flags is written.
    """
    run = convert_kernel if len(source.shape) == 2 else convert_vector_kernel
    most = float(np.finfo(target.dtype).max)
    run[blocks_of(target.size), BLOCK, stream](source, target, target is not source, most, flags)


def copy(source, target, stream=0):
    """target = source, of one or two dimensions."""
    run = copy_kernel if len(source.shape) == 2 else copy_vector_kernel
    run[blocks_of(target.size), BLOCK, stream](source, target)


def zero(values, stream=0):
    """values = 0, for contiguous values of any shape."""
    flat = values.ravel()
    zero_kernel[blocks_of(flat.size), BLOCK, stream](flat)


def mirror(values, factor, stream=0):
    """Lower triangle and diagonal of values (n, n) times factor, in both triangles."""
    mirror_kernel[blocks_of(values.size), BLOCK, stream](values, factor)


def unpack(bits, dense, stream=0):
    """dense (n, m) = the packed bits as booleans."""
    unpack_kernel[blocks_of(dense.size), BLOCK, stream](bits, dense)


def pack(dense, bits, stream=0):
    """bits, padding included, from booleans dense (n, m) of any strides."""
    pack_kernel[blocks_of(bits.size), BLOCK, stream](dense, bits)
