"""Masks and float32 matrices in the formats of matrix units: zeros and ones as bytes or bf16, and bf16 triples.

Layout: ones (16 tiles, ...) neurons contiguous, from mask bytes read as words of 4 neurons: a thread owns such a word.
Cost: bound by memory: n m bytes (or twice that) written; the product that follows takes n / 300 (or p / 70) times as
    long, by the figures in `coactivation` and `masked_sums`.
Splitting: x = high + middle + low, each the leading 8 bits of what is left, so the sum is x exactly as long as low does
    not underflow (|x| > 2^-110), and products with 0 and 1 are exact.
"""

import numpy as np

from fastntk.compilation.jit_cuda import cuda, device_function, kernel, simulated

_THREADS = 128
_ONE = 0x3F80  # 1.0 as bf16: the upper half of its float32


@kernel
def to_bytes_kernel(words_of_bits, first, ones):
    """See `to_bytes`."""
    w = cuda.blockIdx.y * _THREADS + cuda.threadIdx.x
    group = cuda.blockIdx.x
    if w < ones.shape[1]:
        inside = first // 4 + w < words_of_bits.shape[1]
        octets = words_of_bits[group, first // 4 + w] if inside else np.uint32(0)
        for j in range(8):
            ones[8 * group + j, w] = (octets >> np.uint32(j)) & np.uint32(0x01010101)


def to_bytes(words_of_bits, first, ones, stream=0):
    """ones (16 tiles, count / 4): bytes of zeros and ones, four a word, of `count` neurons from `first`; zeros beyond.

    From the mask bytes (rows, width / 4) seen as uint32; count and first are multiples of 4.
    """
    grid = words_of_bits.shape[0], -(-ones.shape[1] // _THREADS)
    to_bytes_kernel[grid, _THREADS, stream](words_of_bits, first, ones)


@kernel
def to_bf16_kernel(words_of_bits, first, ones):
    """See `to_bf16`."""
    w = cuda.blockIdx.y * _THREADS + cuda.threadIdx.x
    group = cuda.blockIdx.x
    if 2 * w + 1 < ones.shape[1]:
        inside = first // 4 + w < words_of_bits.shape[1]
        octets = words_of_bits[group, first // 4 + w] if inside else np.uint32(0)
        for j in range(8):
            bits = octets >> np.uint32(j)
            low = (bits & np.uint32(1)) | ((bits << np.uint32(8)) & np.uint32(0x10000))
            high = ((bits >> np.uint32(16)) & np.uint32(1)) | ((bits >> np.uint32(8)) & np.uint32(0x10000))
            ones[8 * group + j, 2 * w] = low * np.uint32(_ONE)
            ones[8 * group + j, 2 * w + 1] = high * np.uint32(_ONE)


def to_bf16(words_of_bits, first, ones, stream=0):
    """ones (16 tiles, count / 2): bf16 zeros and ones, two a word, of `count` neurons from `first`, multiples of 4."""
    grid = words_of_bits.shape[0], -(-ones.shape[1] // (2 * _THREADS))
    to_bf16_kernel[grid, _THREADS, stream](words_of_bits, first, ones)


if simulated():  # NumPy's numbers have a view, devices a library

    @device_function
    def word_of(x):
        """The bits of a float32."""
        return x.view(np.int32)

    @device_function
    def float_of(word):
        """The float32 with these bits."""
        return np.int32(word).view(np.float32)

else:
    libdevice = cuda.libdevice

    @device_function
    def word_of(x):
        """The bits of a float32."""
        return libdevice.float_as_int(x)

    @device_function
    def float_of(word):
        """The float32 with these bits."""
        return libdevice.int_as_float(np.int32(word))


@device_function
def leading(x):
    """The float32 with the upper half of the bits of x: what bf16 keeps of it, cut off."""
    return float_of(word_of(x) & np.int32(-65536))


@kernel
def scale_rows_kernel(V, e, out):
    """See `scale_rows`."""
    c = cuda.blockIdx.y * _THREADS + cuda.threadIdx.x
    i = cuda.blockIdx.x
    if c < out.shape[1]:
        out[i, c] = e[i] * V[i, c] if i < V.shape[0] and c < V.shape[1] else np.float32(0)


def scale_rows(V, e, out, stream=0):
    """out = e[:, None] * V (n, p), zeros beyond. On its own: the compiler would fuse the product into what uses it."""
    grid = out.shape[0], -(-out.shape[1] // _THREADS)
    scale_rows_kernel[grid, _THREADS, stream](V, e, out)


@kernel
def split_kernel(V, parts):
    """See `split`."""
    c = cuda.blockIdx.y * _THREADS + cuda.threadIdx.x
    i = cuda.blockIdx.x
    if c < parts.shape[2]:
        x = V[i, c]
        high = leading(x)
        middle = leading(x - high)
        low = x - high - middle
        parts[0, i, c] = np.uint16((word_of(low) >> np.int32(16)) & np.int32(65535))
        parts[1, i, c] = np.uint16((word_of(middle) >> np.int32(16)) & np.int32(65535))
        parts[2, i, c] = np.uint16((word_of(high) >> np.int32(16)) & np.int32(65535))


def split(V, parts, stream=0):
    """parts (3, rows, columns) of bf16, smallest first, with ``sum_q parts[q] = V`` (rows, columns), exactly."""
    grid = parts.shape[1], -(-parts.shape[2] // _THREADS)
    split_kernel[grid, _THREADS, stream](V, parts)
