"""Bits times dense: ``S[c, r] = sum_i M[i, r] e[i] V[i, c]``, with neurons contiguous in S.

Three ways, by arithmetic for an H200 (132 SMs at 1.75 GHz; datasheet figures), in multiply-adds:
    matrix units: V split into three bf16 parts (3 x 8 bits: all of float32), the mask as bf16 zeros and ones, so every
        product is exact, sums in float32: three products at 495 T/s are 165 T/s. The way for float32 where there is a
        vendor library (`plans`). The units may cut sums off instead of rounding them: twice the error bound.
    tables (here): shared memory delivers 128 bytes a cycle and SM, 32 floats that stand for 8 samples each: 256 a cycle
        and SM, 59 T/s. Of 97 accesses of a thread per table 56 are such (14 read mask bytes, 27 build the table):
        34 T/s. In float64 17 T/s, what float64 matrix units do on sm_80 and half of that on sm_90, and far above any
        product where float64 is slow; so float64 always comes here.
    float32 units: 128 a cycle and SM, 30 T/s at best, whatever the format of the mask.
Machine: on an H100 matrix units take 19.2 ms for n = p = 4096, m = 131072: 114 T/s, 4.3 times as fast as float32
    products of an expanded mask. Tables give right sums there; their speed is not measured.
Layout: mask bytes ``[8 samples][neuron]`` read as words of 4 neurons; V (n, p) row-major. A block owns a column tile
    (32 floats, 16 doubles) and 896 neurons; a thread owns one column and 56 or 28 neurons, its sums in registers. The
    threads of a warp read one row of a table, 128 bytes: all banks once.
Method: four Russians, one byte of samples at a time. A thread sums the subsets of the low samples in registers on top
    of its own subset of the high ones, and stores that stretch of the table. The terms of the next one are fetched
    while this one is read.
Registers: 128, all that 512 threads leave. With 56 sums ptxas spills 12 bytes on sm_80 and none on sm_90, with 64
    it spills 72 and 40.
Accumulation: working precision, eight samples at a time in sample order, as on the CPU.
Rejected: nibbles (16 rows, tables for nothing, but twice the loads: no better than multiplying), lanes that own neurons
    (their rows fall into random banks: 3.5 of 32 threads meet on average).
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, kernel

THREADS = 512
_LINE = 128  # bytes of a row of a table
_WORDS = {4: 14, 8: 7}  # words of 4 neurons whose sums a thread holds, by the bytes of a float
NEURONS = 896  # of a block, in either precision: THREADS / columns of a tile * neurons of a thread


def _table_kernel(dtype):
    itemsize = np.dtype(dtype).itemsize
    columns = _LINE // itemsize
    words = _WORDS[itemsize]
    held = 4 * words
    rows = 256 * columns // THREADS  # of a table that a thread fills
    low_bits = rows.bit_length() - 1
    zero = dtype(0)

    @kernel(threads=THREADS)
    def masked_sums_kernel(words_of_bits, V, e, first, count, out):
        """See `masked_sums`."""
        table = cuda.shared.array((256, columns), dtype)
        terms = cuda.shared.array((8, columns), dtype)
        sums = cuda.local.array(held, dtype)
        subsets = cuda.local.array(rows, dtype)
        lane, group = cuda.threadIdx.x % columns, cuda.threadIdx.x // columns
        n, p = V.shape
        column = cuda.blockIdx.x * columns + lane
        own = cuda.blockIdx.y * NEURONS + group * held  # neurons counted from `first`
        neuron = min(own, 4 * words_of_bits.shape[1] - first - held)  # the last threads reach back
        word = (first + neuron) // 4
        for k in range(held):
            sums[k] = zero
        # Indices stop at the last column and sample: nothing beyond p is written, no bit of a mask asks beyond n.
        source = min(column, p - 1)
        term = zero
        if group < 8:
            term = e[min(group, n - 1)] * V[min(group, n - 1), source]
        for row in range((n + 7) // 8):
            if group < 8:
                terms[group, lane] = term
            cuda.syncthreads()
            subsets[0] = zero
            for bit in range(low_bits, 8):
                if (group >> (bit - low_bits)) & 1:
                    subsets[0] += terms[bit, lane]
            for bit in range(low_bits):
                for k in range(1 << bit):
                    subsets[(1 << bit) + k] = subsets[k] + terms[bit, lane]
            for k in range(rows):
                table[group * rows + k, lane] = subsets[k]
            if group < 8:  # of the next table, on its way while this one is read
                i = min(8 * row + 8 + group, n - 1)
                term = e[i] * V[i, source]
            cuda.syncthreads()
            for w in range(words):
                octets = words_of_bits[row, word + w]
                sums[4 * w] += table[octets & np.uint32(255), lane]
                sums[4 * w + 1] += table[(octets >> np.uint32(8)) & np.uint32(255), lane]
                sums[4 * w + 2] += table[(octets >> np.uint32(16)) & np.uint32(255), lane]
                sums[4 * w + 3] += table[octets >> np.uint32(24), lane]
        if column < p:
            for k in range(held):
                if own <= neuron + k < count:
                    out[column, neuron + k] = sums[k]

    return masked_sums_kernel


masked_sums_float32_kernel = _table_kernel(np.float32)
masked_sums_float64_kernel = _table_kernel(np.float64)


def masked_sums(words_of_bits, V, e, first, count, out, stream=0):
    """out[c, k] = sum_i M[i, first + k] e[i] V[i, c] for k < count, by tables; out (p, count or more).

    words_of_bits (rows, width / 4) are the mask bytes seen as uint32; first is a multiple of 64; V (n, p), e
    (n or more,) and out have one precision.
    """
    float32 = np.dtype(out.dtype).itemsize == 4
    launched = masked_sums_float32_kernel if float32 else masked_sums_float64_kernel
    columns = _LINE // np.dtype(out.dtype).itemsize
    grid = -(-V.shape[1] // columns), -(-count // NEURONS)
    launched[grid, THREADS, stream](words_of_bits, V, e, first, count, out)
