"""Signs of the pre-activations alone, packed: ``M_ir = 1{z_ir >= 0}`` after the product ``Z = X W^T``.

Layout: as forward; a thread owns one neuron and eight samples, and writes one byte.
Cost: one pass over Z, 4 n m bytes in float32: bound by memory.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.forward import NEURONS


@kernel
def activation_kernel(Z, n, m, bits):
    """See `activation`."""
    r = cuda.blockIdx.y * NEURONS + cuda.threadIdx.x
    group = cuda.blockIdx.x
    if r < bits.shape[1]:
        octet = np.uint32(0)
        for j in range(8):
            i = 8 * group + j
            if i < n and r < m and Z[i, r] >= Z.dtype.type(0):
                octet |= np.uint32(1 << j)
        bits[group, r] = np.uint8(octet)


def activation(Z, n, m, bits, stream=0):
    """Overwrite bits (2 tiles, width), padding included, from Z (n, m or more)."""
    grid = bits.shape[0], -(-bits.shape[1] // NEURONS)
    activation_kernel[grid, NEURONS, stream](Z, n, m, bits)
