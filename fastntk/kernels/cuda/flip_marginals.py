"""Pattern changes between two packed masks, counted for each neuron and for each sample.

Layout: mask bytes ``[8 samples][neuron]``. A thread owns a neuron and walks down its bytes; for the samples, a block
    owns a row of bytes, read as words of 4 neurons by 8 samples, and up to 16 words a thread.
Cost: n m / 2 bytes read, both masks twice; bound by memory bandwidth (popcounts: one a byte, then eight a word).
Accumulation: 32 bits a thread, 64 beyond, exact in any order: integer additions may be atomic.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel

_THREADS = 128
_WORDS = 16 * _THREADS  # words of a block


@kernel
def neuron_flips_kernel(before, after, neurons):
    """See `flip_marginals`."""
    r = cuda.blockIdx.x * _THREADS + cuda.threadIdx.x
    if r < neurons.shape[0]:
        count = 0
        for row in range(before.shape[0]):
            count += cuda.popc(np.uint32(before[row, r]) ^ np.uint32(after[row, r]))
        neurons[r] = count


@kernel
def sample_flips_kernel(before, after, samples):
    """See `flip_marginals`."""
    shares = cuda.shared.array((8, _THREADS), np.int32)
    thread = cuda.threadIdx.x
    row, start = cuda.blockIdx.x, cuda.blockIdx.y * _WORDS
    for j in range(8):
        shares[j, thread] = 0
    for w in range(start + thread, min(start + _WORDS, before.shape[1]), _THREADS):
        changed = before[row, w] ^ after[row, w]
        for j in range(8):
            shares[j, thread] += cuda.popc((changed >> np.uint32(j)) & np.uint32(0x01010101))
    cuda.syncthreads()
    if thread < 8:
        total = np.int64(0)
        for t in range(_THREADS):
            total += shares[thread, t]
        cuda.atomic.add(samples, 8 * row + thread, total)


def flip_marginals(before, after, samples, neurons, stream=0):
    """Differing bits of two masks of bytes: samples (8 rows) += those of each sample, neurons (m) = of each neuron."""
    neuron_flips_kernel[-(-neurons.shape[0] // _THREADS), _THREADS, stream](before, after, neurons)
    words = before.view(np.uint32), after.view(np.uint32)
    grid = before.shape[0], -(-words[0].shape[1] // _WORDS)
    sample_flips_kernel[grid, _THREADS, stream](*words, samples)
