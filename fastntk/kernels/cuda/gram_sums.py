"""Sums of products over neurons, ``S[i, j] += sum_r A[i, r] B[j, r]``, 512 neurons at a time, and Gram matrices.

Layout: A (n, 512) and B (k, 512) neurons contiguous, zeros beyond the last neuron; their products (`plans.Products`) in
    working precision, S in float64; a thread owns an element.
Cost: n k m multiply-adds of the products; S read and written once per 512 neurons, 20 n k bytes in float32: a quarter
    of the time of a product on float32 units. `gram_entries` moves 24 n k bytes or 32, once, bound by memory: 5 to 7 ps
    an entry at 4.8 TB/s (by arithmetic), as much as the bit products of 10000 neurons on int8 matrix units.
Accumulation: working precision over 512 neurons, those sums in float64 in the order of the neurons, as on the CPU;
    Gram matrices in float64, rounded once.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel

PART = 512  # neurons of a sum in working precision
_BLOCK = (32, 4)


def _grid(matrix):
    """Blocks for one thread an element, rows along x."""
    return -(-matrix.shape[0] // _BLOCK[1]), -(-matrix.shape[1] // _BLOCK[0])


@kernel
def positive_kernel(Z, count):
    """See `positive`."""
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    k = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if i < Z.shape[0] and k < Z.shape[1]:
        zero = Z.dtype.type(0)
        if k >= count or Z[i, k] < zero:
            Z[i, k] = zero


def positive(Z, count, stream=0):
    """Z = relu(Z) in its first `count` columns, NaN kept, and zero beyond."""
    positive_kernel[_grid(Z), _BLOCK, stream](Z, count)


@kernel
def weigh_kernel(bits, first, count, weights, out):
    """See `weigh`."""
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    k = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if i < out.shape[0] and k < out.shape[1]:
        value = out.dtype.type(0)
        if k < count and (np.uint32(bits[i // 8, first + k]) >> np.uint32(i % 8)) & np.uint32(1):
            value = weights[k]
        out[i, k] = value


def weigh(bits, first, count, weights, out, stream=0):
    """out[i, k] = weights[k] M[i, first + k] for k < count, zero beyond; out (n, 512)."""
    weigh_kernel[_grid(out), _BLOCK, stream](bits, first, count, weights, out)


@kernel
def add_sums_kernel(part, S):
    """See `add_sums`."""
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if i < S.shape[0] and j < S.shape[1]:
        S[i, j] += np.float64(part[i, j])


def add_sums(part, S, stream=0):
    """S += part, in float64."""
    add_sums_kernel[_grid(S), _BLOCK, stream](part, S)


@kernel
def gram_entries_kernel(K, first, second, has_first, has_second, symmetric, scale, m, out):
    """See `gram_entries`."""
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    j = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if i < out.shape[0] and j < out.shape[1]:
        row, column = i, j
        if symmetric and i < j:
            row, column = j, i
        total = 0.0
        if has_first:
            total = scale * K[row, column] * np.float64(first[row, column])
        if has_second:
            total += second[row, column]
        out[i, j] = total / m


def gram_entries(K, first, second, symmetric, scale, m, out, stream=0):
    """out (n, k) = (scale K * first + second) / m, computed in float64, rounded once to the precision of out.

    first (int64 or float64) or second may be None: that term is not there. symmetric: the lower halves are read, out
    is exactly symmetric.
    """
    some = second if first is None else first  # what is not there is not read
    gram_entries_kernel[_grid(out), _BLOCK, stream](
        second if K is None else K, some, K if second is None else second, first is not None, second is not None,
        symmetric, scale, m, out,
    )  # fmt: skip
