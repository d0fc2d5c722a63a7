"""Signs, packed, and outputs from pre-activations: ``u = sum_r a_r relu(z_r)`` after the product ``Z = X W^T``.

Layout: Z (n, m or more) neurons contiguous. A block owns 128 neurons, a thread one of them: it reads 16 samples,
    neighbours of its neighbours', and writes the two mask bytes. The product itself is `products.product_nt`.
Cost: one pass over Z, 4 n m bytes in float32 and n m / 8 written: bound by memory. The shares of u take one write and
    one read of shared memory per pre-activation, a third of what shared memory could do in that time.
Accumulation: u in working precision over 16 neurons, then float64 over 8 such parts, one share per block of
    neurons; `reductions.column_sums` adds the shares in block order. No float atomics: same numbers on every run.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, device_function, kernel

NEURONS = 128  # threads of a block of the passes over pre-activations, one neuron each
_PART = 16  # neurons summed in working precision
_PARTS = NEURONS // _PART
_PITCH = NEURONS + 1  # of a row of products in shared memory: no two threads of a warp meet in a bank
_PARTS_PITCH = _PARTS + 1


@device_function
def share_outputs(products, sums, tile, block, u_shares):
    """u_shares[block, 16 tile + j] = sum of products[j, :], by all threads of the block."""
    thread = cuda.threadIdx.x
    sample, part = thread % 16, thread // 16
    cuda.syncthreads()
    total = products[sample, _PART * part]
    for k in range(1, _PART):
        total += products[sample, _PART * part + k]
    sums[sample, part] = np.float64(total)
    cuda.syncthreads()
    if thread < 16:
        whole = 0.0
        for k in range(_PARTS):
            whole += sums[thread, k]
        u_shares[block, 16 * tile + thread] = whole


@kernel
def forward_kernel(Z, n, m, a, bits, u_shares):
    """See `forward`."""
    products = cuda.shared.array((16, _PITCH), Z.dtype)
    sums = cuda.shared.array((16, _PARTS_PITCH), np.float64)
    values = cuda.local.array(16, Z.dtype)  # all on their way before the first is used
    zero = Z.dtype.type(0)
    thread, tile = np.uint64(cuda.threadIdx.x), cuda.blockIdx.y  # unsigned indices: see dual_step
    r = np.uint64(cuda.blockIdx.x * NEURONS) + thread
    some, last = min(r, np.uint64(m - 1)), np.uint64(n - 1)
    for j in range(16):
        values[j] = Z[min(np.uint64(16 * tile + j), last), some]
    sign = a[some]
    octets = np.uint32(0)
    for j in range(16):
        z = values[j]
        inside = r < np.uint64(m) and np.uint64(16 * tile + j) <= last
        if inside and z >= zero:
            octets |= np.uint32(1 << j)
        products[np.uint64(j), thread] = sign * (zero if z < zero else z) if inside else zero
    if r < np.uint64(bits.shape[1]):
        bits[2 * tile, r] = np.uint8(octets & np.uint32(255))
        bits[2 * tile + 1, r] = np.uint8(octets >> np.uint32(8))
    share_outputs(products, sums, tile, cuda.blockIdx.x, u_shares)


def forward(Z, n, m, a, bits, u_shares, stream=0):
    """Overwrite bits (2 tiles, width) and u_shares (ceil(m / 128), 16 tiles) from Z (n, m or more).

    u_shares is float64; rows of padding samples become 0. ``u`` is the sum of the shares over blocks / sqrt(m).
    """
    grid = -(-m // NEURONS), bits.shape[0] // 2
    forward_kernel[grid, NEURONS, stream](Z, n, m, a, bits, u_shares)
