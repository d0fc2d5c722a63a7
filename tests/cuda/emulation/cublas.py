"""A double of cuBLAS that computes what cuBLAS documents, on the memory that the pointers name."""

import ctypes

import numpy as np

# Data types of cuBLAS: what the test reads and writes for each, from the vendor's header.
TYPES = {0: np.float32, 1: np.float64, 3: np.int8, 10: np.int32, 14: np.uint16}
COMPUTE = {(0, 68): np.float32, (1, 70): np.float64, (3, 72): np.int32, (14, 68): np.float32}


def column_major(pointer, kind, rows, columns, leading):
    """The matrix behind a pointer as cuBLAS sees it: a view."""
    assert rows <= leading
    dtype = np.dtype(TYPES[kind])
    size = (leading * (columns - 1) + rows) * dtype.itemsize
    raw = np.frombuffer((ctypes.c_char * size).from_address(pointer), dtype)
    return np.lib.stride_tricks.as_strided(raw, (rows, columns), (dtype.itemsize, leading * dtype.itemsize))


class Double:
    """Of the C functions of cuBLAS."""

    def __init__(self):
        self.kinds = []

    def cublasCreate_v2(self, handle):
        return 0

    def cublasSetStream_v2(self, handle, stream):
        return 0

    def cublasGemmEx(
        self, handle, opa, opb, m, n, k, alpha, A, kind_a, lda, B, kind_b, ldb, beta, C, kind_c, ldc, compute,
        algorithm,
    ):  # fmt: skip
        scalar = COMPUTE[kind_a, compute]
        assert kind_b == kind_a
        assert kind_c == {0: 0, 1: 1, 3: 10, 14: 0}[kind_a]
        assert algorithm == -1
        if kind_a == 3:
            assert (opa, opb) == (1, 0)
            assert [size % 4 for size in (m, n, k, ldc)] == [0, 0, 0, 0]
            assert [size % 16 for size in (lda, ldb, A, B, C)] == [0, 0, 0, 0, 0]
        if kind_a == 14:
            assert [2 * lda % 16, 2 * ldb % 16, 4 * ldc % 16] == [0, 0, 0]
            assert [pointer % 16 for pointer in (A, B, C)] == [0, 0, 0]
        left = column_major(A, kind_a, *((k, m) if opa else (m, k)), lda)
        right = column_major(B, kind_b, *((n, k) if opb else (k, n)), ldb)
        result = column_major(C, kind_c, m, n, ldc)
        if kind_a == 14:
            left, right = ((half.astype(np.uint32) << 16).view(np.float32) for half in (left, right))
        one, old = (np.frombuffer(value, scalar)[0] for value in (alpha, beta))
        product = (left.T if opa else left).astype(scalar) @ (right.T if opb else right).astype(scalar)
        result[...] = one * product + (old * result if old else 0)
        self.kinds.append(kind_a)
        return 0
