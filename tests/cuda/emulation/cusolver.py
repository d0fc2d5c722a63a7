"""A double of cuSOLVER that computes what cuSOLVER documents, on the memory that the pointers name."""

import ctypes

import numpy as np
import scipy.linalg

UPPER, VECTORS, FLOAT64 = 1, 1, 1  # of the vendor's header
SIZES = 24, 40  # workspaces that the double asks for, on the device and on the host


def column_major(pointer, n):
    """The matrix behind a pointer as cuSOLVER sees it: a view."""
    return np.frombuffer((ctypes.c_char * (8 * n * n)).from_address(pointer)).reshape(n, n).T


def integer_at(pointer):
    return (ctypes.c_int * 1).from_address(pointer)


class Double:
    """Of the C functions of cuSOLVER."""

    def __init__(self):
        self.calls = []

    def cusolverDnCreate(self, handle):
        return 0

    def cusolverDnSetStream(self, handle, stream):
        return 0

    def cusolverDnCreateParams(self, parameters):
        return 0

    def _sizes(self, there, here):
        there._obj.value, here._obj.value = SIZES
        return 0

    def cusolverDnXpotrf_bufferSize(self, handle, params, uplo, n, kind, A, lda, compute, there, here):
        return self._sizes(there, here)

    def cusolverDnXpotrf(
        self, handle, params, uplo, n, kind, A, lda, compute, there, size_there, here, size_here, info
    ):
        assert (uplo, lda, kind, compute) == (UPPER, n, FLOAT64, FLOAT64)
        assert (size_there.value, size_here.value) == SIZES
        ctypes.memset(there, 255, size_there.value)
        ctypes.memset(here, 255, size_here.value)
        matrix = column_major(A, n)
        factor, found = scipy.linalg.lapack.dpotrf(matrix, lower=0, clean=0)
        matrix[...] = factor
        integer_at(info)[0] = found
        self.calls.append("potrf")
        return 0

    def cusolverDnDpotri_bufferSize(self, handle, uplo, n, A, lda, count):
        count._obj.value = 7
        return 0

    def cusolverDnDpotri(self, handle, uplo, n, A, lda, work, count, info):
        assert (uplo, lda, count.value) == (UPPER, n, 7)
        ctypes.memset(work, 255, 8 * count.value)
        matrix = column_major(A, n)
        matrix[...], found = scipy.linalg.lapack.dpotri(matrix, lower=0)
        integer_at(info)[0] = found
        self.calls.append("potri")
        return 0

    def cusolverDnXsyevd_bufferSize(
        self, handle, params, jobz, uplo, n, kind, A, lda, kind_w, W, compute, there, here
    ):
        return self._sizes(there, here)

    def cusolverDnXsyevd(
        self, handle, params, jobz, uplo, n, kind, A, lda, kind_w, W, compute, there, size_there, here, size_here,
        info,
    ):  # fmt: skip
        assert (jobz, uplo, lda, kind, kind_w, compute) == (VECTORS, UPPER, n, *[FLOAT64] * 3)
        matrix = column_major(A, n)
        values, vectors = np.linalg.eigh(matrix, UPLO="U")
        matrix[...] = vectors
        np.frombuffer((ctypes.c_char * (8 * n)).from_address(W))[:] = values
        integer_at(info)[0] = 0
        self.calls.append("syevd")
        return 0
