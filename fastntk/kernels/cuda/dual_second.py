"""What the dual engine needs beside its steps when more than plain descent of the first layer is to be followed.

Layout: pre-activations Z0 + D, and the coefficients C of the samples in the weights' change, (n, m or more), neurons
    contiguous; mask bytes ``[8 samples][neuron]``. A thread owns one neuron and a range of samples (products), or one
    neuron and eight samples (coefficients).
Cost: bound by memory. Products read Z0 and D (8 n m bytes in float32), coefficients are read and written where a mask
    is on (at most 8 n m; always and with their velocities 16 n m). At n = 4096, m = 131072 8 n m bytes take 0.9 ms of
    an H200, by arithmetic.
Accumulation: products in float64 over a range; ranges are added in order.
Rejected: coefficients in the kernel of the step. They read nothing that it reads but the mask, a bit an entry, and
    their operands would take the registers that keep loads on their way.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.dual_step import _AHEAD
from fastntk.kernels.cuda.forward import NEURONS


@kernel
def positive_products_kernel(n, m, e, Z0, D, shares):
    """See `positive_products`."""
    values = cuda.local.array(_AHEAD, Z0.dtype)
    changes = cuda.local.array(_AHEAD, Z0.dtype)
    zero = Z0.dtype.type(0)
    r = np.uint64(cuda.blockIdx.x * NEURONS + cuda.threadIdx.x)  # unsigned: see dual_step
    if r < np.uint64(m):
        moved = D.shape[0] > 0
        part, ranges = cuda.blockIdx.y, cuda.gridDim.y
        begin, end = part * n // ranges, (part + 1) * n // ranges
        total = 0.0
        for start in range(begin, end, _AHEAD):
            for q in range(_AHEAD):
                i = np.uint64(min(start + q, end - 1))
                values[q] = Z0[i, r]
                changes[q] = D[i, r] if moved else zero
            for q in range(_AHEAD):
                if start + q < end:
                    z = values[q] + changes[q]
                    if not z < zero:
                        total += np.float64(e[np.uint64(start + q)]) * np.float64(z)
        shares[part, r] = total


def positive_products(n, m, e, Z0, D, shares, stream=0):
    """shares (ranges, m or more): of ``sum_i e_i relu(z_ir)``, a range of samples each; D without rows is zero."""
    grid = -(-m // NEURONS), shares.shape[0]
    positive_products_kernel[grid, NEURONS, stream](n, m, e, Z0, D, shares)


@kernel
def add_coefficients_kernel(n, m, bits, e, scale, C):
    """See `add_coefficients`."""
    r = cuda.blockIdx.y * NEURONS + cuda.threadIdx.x
    group = cuda.blockIdx.x
    if r < m:
        octet, step = np.uint32(bits[group, r]), scale[r]
        for j in range(8):
            i = 8 * group + j
            if (octet >> np.uint32(j)) & np.uint32(1) and i < n:
                C[i, r] += step * e[i]


def add_coefficients(n, m, bits, e, scale, C, stream=0):
    """``C += g`` with ``g_ir = scale_r e_i M_ir``, for e (n or more,) and scale (m or more,) in working precision."""
    grid = bits.shape[0], -(-m // NEURONS)
    add_coefficients_kernel[grid, NEURONS, stream](n, m, bits, e, scale, C)


@kernel
def add_damped_coefficients_kernel(n, m, bits, e, scale, beta, b, c, C, V):
    """See `add_damped_coefficients`."""
    r = cuda.blockIdx.y * NEURONS + cuda.threadIdx.x
    group = cuda.blockIdx.x
    damping, ahead, direct = C.dtype.type(beta), C.dtype.type(b), C.dtype.type(c)
    zero = C.dtype.type(0)
    if r < m:
        octet, step = np.uint32(bits[group, r]), scale[r]
        for j in range(8):
            i = 8 * group + j
            if i < n:
                gradient = step * e[i] if (octet >> np.uint32(j)) & np.uint32(1) else zero
                moving = damping * V[i, r] + gradient
                V[i, r] = moving
                C[i, r] += ahead * moving + direct * gradient


def add_damped_coefficients(n, m, bits, e, scale, coefficients, C, V, stream=0):
    """``V <- beta V + g``, ``C <- C + b V + c g`` with coefficients (beta, b, c), as dual_momentum moves D."""
    grid = bits.shape[0], -(-m // NEURONS)
    add_damped_coefficients_kernel[grid, NEURONS, stream](n, m, bits, e, scale, *coefficients, C, V)
