"""Pattern changes between two packed masks: their number, and the bookkeeping of the dual engine.

Layout: mask bytes ``[8 samples][neuron]``; counting reads them as words of 4 neurons by 8 samples. Padding bits are
    equal in both masks.
Cost: n m / 4 bytes read, one xor and popcount per word; bound by memory bandwidth. A block takes 16 words a thread,
    so the one addition to global memory per block does not show.
Accumulation: 32 bits per thread (at most 512), 64 per launch, exact in any order: integer additions may be atomic.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel
from fastntk.kernels.cuda.forward import NEURONS

_THREADS = 256
_WORDS = 16 * _THREADS  # words of a block


@kernel
def flip_count_kernel(before, after, out, k):
    """See `flip_count`."""
    counts = cuda.shared.array(_THREADS, np.int32)
    thread = cuda.threadIdx.x
    row = cuda.blockIdx.x
    count = 0
    start = cuda.blockIdx.y * _WORDS
    for w in range(start + thread, min(start + _WORDS, before.shape[1]), _THREADS):
        count += cuda.popc(before[row, w] ^ after[row, w])
    counts[thread] = count
    cuda.syncthreads()
    if thread == 0:
        total = np.int64(0)
        for t in range(_THREADS):
            total += counts[t]
        cuda.atomic.add(out, k, total)


def flip_count(before, after, out, k, stream=0):
    """out[k] += differing bits of two masks (rows, width / 4) of uint32, their bytes seen as words; out is int64."""
    grid = before.shape[0], -(-before.shape[1] // _WORDS)
    flip_count_kernel[grid, _THREADS, stream](before, after, out, k)


@kernel
def record_flips_kernel(before, after, total_residual, offsets):
    """See `record_flips`."""
    r = cuda.blockIdx.y * NEURONS + cuda.threadIdx.x
    group = cuda.blockIdx.x
    if r < before.shape[1]:
        now = np.uint32(after[group, r])
        changed = np.uint32(before[group, r]) ^ now
        if changed != np.uint32(0):
            for j in range(8):
                if (changed >> np.uint32(j)) & np.uint32(1):
                    i = 8 * group + j
                    owed = total_residual[i]
                    offsets[i, r] += -owed if (now >> np.uint32(j)) & np.uint32(1) else owed


def record_flips(before, after, total_residual, offsets, stream=0):
    """Keep ``sum_k e_i(k) M_ir(k) = M_ir S_i + O_ir`` true when M changes: S = total_residual, O = offsets (n, >= m).

    An entry that turns off leaves its S_i behind in O; one that turns on owes it. Only flips touch O. Masks are bytes.
    """
    grid = before.shape[0], -(-before.shape[1] // NEURONS)
    record_flips_kernel[grid, NEURONS, stream](before, after, total_residual, offsets)
