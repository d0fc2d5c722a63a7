"""The three products of the package with their scratch: by cuBLAS where it is installed, else by our own kernels.

The arithmetic behind each choice is in the header of its kernel (`products`, `coactivation`, `masked_sums`). Scratch is
allocated once, so that a step allocates nothing; everything happens on the stream of the plan.
"""

import numpy as np

from fastntk.base.packing import TILE, padded_width, tiles_of
from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda import coactivation, expansion, masked_sums, products, vendor

_PANEL = 1024  # rows of a panel of counts: of 8 panels 9/16 of the matrix is computed
# Of one range of neurons. A launch takes the host 0.15 ms: on an H100 a dual step of n = d = 4096, m = 131072 takes
# 89 ms with ranges of 2^23 bytes, 46 with 2^25, which stay in the second-level cache, and 26.1, 22.6, 23.2 with 2^26
# to 2^28.
_SUMS_BYTES = 2**27
_VENDOR_NEURONS = 1024  # a range is a multiple, for whole rounds of cuBLAS's tiles
_EIGHT = 8  # bf16 numbers in 16 bytes


def _blas(stream):
    return None if vendor.library() is None else vendor.Blas(stream)


def _splits(dtype):
    """Whether masked sums go to matrix units, in parts."""
    return np.dtype(dtype) == np.float32 and vendor.library() is not None


class Products:
    """Products of dense matrices of one precision, float32 or float64, row-major."""

    def __init__(self, stream=0):
        self._blas, self._stream = _blas(stream), stream

    def nn(self, A, B, out):
        """out[:M, :N] = A (M, K) B (K, N)."""
        if self._blas is None:
            products.product(A, B, out, self._stream)
        else:
            self._blas.product(A, B, out, (A.shape[0], B.shape[1], A.shape[1]))

    def nt(self, A, B, out):
        """out[:M, :N] = A (M, K) B (N, K)^T."""
        if self._blas is None:
            products.product_transposed(A, B, out, self._stream)
        else:
            self._blas.product(A, B, out, (A.shape[0], B.shape[0], A.shape[1]), transpose_b=True)


class Counting:
    """Co-activation counts of n samples, or of n with k others, of `width` neurons at a time, padding included."""

    def __init__(self, n, width, stream=0, k=None):
        self._blas, self._stream = _blas(stream), stream
        rows, columns = self._samples(n, k)
        sides = (rows,) if k is None else (rows, columns)
        per_word = 32 if self._blas is None else 4
        self._words = [
            cuda.device_array((side, width // per_word), np.uint32, stream=stream) for side in sides
        ]
        if self._blas is not None:
            self._bytes = [words.view(np.int8) for words in self._words]
            self._part = cuda.device_array((rows, columns), np.int32, stream=stream)

    @staticmethod
    def _samples(n, k):
        rows = TILE * tiles_of(n)
        return rows, rows if k is None else TILE * tiles_of(k)

    @staticmethod
    def bytes_needed(n, width, k=None):
        """Device memory of the scratch."""
        rows, columns = Counting._samples(n, k)
        samples = rows if k is None else rows + columns
        if vendor.library() is None:
            return samples * width // 8
        return samples * width + 4 * rows * columns

    def counts(self, words_of_bits, out, others=None, first=0, add=False):
        """out (n, n) int64 = sum_r M_ir M_jr, from the mask bytes (rows, width / 4) seen as uint32.

        With those of `others` out is (n, k). The sum is over the plan's `width` neurons from `first`, a multiple of 32;
        `add` adds it to what out holds.
        """
        symmetric = others is None
        expand = coactivation.to_words if self._blas is None else expansion.to_bytes
        for bits, words in zip(
            (words_of_bits,) if symmetric else (words_of_bits, others), self._words, strict=True
        ):
            expand(bits, first, words, self._stream)
        if self._blas is None:
            left, right = self._words[0], self._words[-1]
            coactivation.coactivation_counts(left, right, symmetric, add, out, self._stream)
            return
        left, right = self._bytes[0], self._bytes[-1]
        samples, width = left.shape
        panel = _PANEL if symmetric else samples
        for top in range(0, samples, panel):
            bottom = min(top + panel, samples)
            shape = bottom - top, bottom if symmetric else right.shape[0], width
            self._blas.product(left[top:bottom], right, self._part[top:bottom], shape, transpose_b=True)
        coactivation.write_counts(self._part, symmetric, add, out, self._stream)


class MaskedSums:
    """Masked sums of the rows of a matrix (n, p) for m neurons, one range of neurons after the other."""

    def __init__(self, n, p, m, dtype, stream=0):
        self._stream, self._m = stream, m
        self._blas = _blas(stream) if _splits(dtype) else None
        self.neurons = self._neurons(p, m, dtype)
        self._sums = cuda.device_array((p, self.neurons), dtype, stream=stream)
        if self._blas is not None:
            samples, columns = TILE * tiles_of(n), -(-p // _EIGHT) * _EIGHT
            self._scaled = cuda.device_array((samples, columns), np.float32, stream=stream)
            self._parts = cuda.device_array((3, samples, columns), np.uint16, stream=stream)
            self._pairs = cuda.device_array((samples, self.neurons // 2), np.uint32, stream=stream)
            self._ones = self._pairs.view(np.uint16)

    @staticmethod
    def _neurons(p, m, dtype):
        """Neurons of a range: a multiple of 128, or all of them."""
        group = _VENDOR_NEURONS if _splits(dtype) else masked_sums.NEURONS
        fitting = max(1, _SUMS_BYTES // (p * np.dtype(dtype).itemsize * group)) * group
        return min(fitting, padded_width(m))

    @staticmethod
    def bytes_needed(n, p, m, dtype):
        """Device memory of the scratch."""
        neurons = MaskedSums._neurons(p, m, dtype)
        needed = p * neurons * np.dtype(dtype).itemsize
        if _splits(dtype):
            samples, columns = TILE * tiles_of(n), -(-p // _EIGHT) * _EIGHT
            needed += (4 + 3 * 2) * samples * columns + 2 * samples * neurons
        return needed

    def blocks(self, words_of_bits, V, e):
        """(first, count, S) for ranges of neurons, S[c, k] = sum_i M[i, first + k] e[i] V[i, c]; one S for all.

        words_of_bits are the mask bytes (rows, width / 4) seen as uint32; V (n, p), e (16 tiles,).
        """
        p = V.shape[1]
        if self._blas is not None:
            expansion.scale_rows(V, e, self._scaled, self._stream)
            expansion.split(self._scaled, self._parts, self._stream)
        for first in range(0, self._m, self.neurons):
            count = min(self.neurons, self._m - first)
            if self._blas is None:
                masked_sums.masked_sums(words_of_bits, V, e, first, count, self._sums, self._stream)
            else:
                expansion.to_bf16(words_of_bits, first, self._pairs, self._stream)
                shape = p, self.neurons, self._ones.shape[0]
                for part in range(3):  # the smallest first
                    self._blas.product(
                        self._parts[part], self._ones, self._sums, shape, transpose_a=True, add=part > 0
                    )
            yield first, count, self._sums
