"""The three products of the package with their scratch: by cuBLAS where it is installed, else by our own kernels.

The arithmetic behind each choice is in the header of its kernel (`products`, `coactivation`, `masked_sums`). Scratch is
allocated once, so that a step allocates nothing; everything happens on the stream of the plan.
"""

import numpy as np

from fastntk.jit_cuda import cuda
from fastntk.kernels.cuda import coactivation, expansion, masked_sums, products, vendor
from fastntk.packing import TILE, padded_width, tiles_of

_PANEL = 1024  # rows of a panel of counts: of 8 panels 9/16 of the matrix is computed
_SUMS_BYTES = 2**25  # of one range of neurons, which stay in the second-level cache until the step reads them
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
    """Co-activation counts of masks of n samples and `width` neurons, padding included."""

    def __init__(self, n, width, stream=0):
        self._blas, self._stream = _blas(stream), stream
        samples = TILE * tiles_of(n)
        if self._blas is None:
            self._words = cuda.device_array((samples, width // 32), np.uint32, stream=stream)
        else:
            self._words = cuda.device_array((samples, width // 4), np.uint32, stream=stream)
            self._bytes = self._words.view(np.int8)
            self._lower = cuda.device_array((samples, samples), np.int32, stream=stream)

    @staticmethod
    def bytes_needed(n, width):
        """Device memory of the scratch."""
        samples = TILE * tiles_of(n)
        if vendor.library() is None:
            return samples * width // 8
        return samples * width + 4 * samples * samples

    def counts(self, words_of_bits, out):
        """out (n, n) int64 = sum_r M_ir M_jr, from the mask bytes (rows, width / 4) seen as uint32."""
        if self._blas is None:
            coactivation.to_words(words_of_bits, self._words, self._stream)
            coactivation.coactivation_counts(self._words, out, self._stream)
            return
        expansion.to_bytes(words_of_bits, self._words, self._stream)
        samples, width = self._bytes.shape
        for top in range(0, samples, _PANEL):
            bottom = min(top + _PANEL, samples)
            panel = self._bytes[top:bottom]
            shape = bottom - top, bottom, width
            self._blas.product(panel, self._bytes, self._lower[top:bottom], shape, transpose_b=True)
        coactivation.mirror(self._lower, out, self._stream)


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
