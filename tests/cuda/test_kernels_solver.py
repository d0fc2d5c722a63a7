"""cuSOLVER by a double that computes what cuSOLVER documents; on a device the library itself, where it is installed."""

import ctypes

import numpy as np
import pytest
import scipy.linalg

from fastntk.cuda import dense
from fastntk.jit_cuda import simulated
from fastntk.kernels.cuda import solver

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


@pytest.fixture
def library(monkeypatch):
    """The double in the simulator, cuSOLVER or LAPACK on a device."""
    if not simulated():
        return solver.library()
    double = Double()
    monkeypatch.setattr(solver, "library", lambda: double)
    monkeypatch.setattr(solver, "address", lambda array: array.ctypes.data)
    return double


@pytest.fixture
def matrix():
    A = np.random.default_rng(3).standard_normal((9, 12))
    return A @ A.T / 12 + 0.1 * np.eye(9)


def test_factor_proof_and_inverse(library, matrix, there):
    H = there(matrix)
    least = np.linalg.eigvalsh(matrix)[0]
    factor, bound = dense.factor_above(H, least / 2)
    assert 0.49 * least < bound <= least / 2
    L = np.tril(factor.copy_to_host())
    shifted = matrix - least / 2 * np.eye(9)
    assert np.abs(L @ L.T - shifted).max() < 1e-13
    inverse = dense.inverse_from(factor).copy_to_host()
    assert np.array_equal(inverse, inverse.T)
    assert np.abs(inverse @ shifted - np.eye(9)).max() < 1e-11
    assert dense.factor_above(H, 1.01 * least) is None
    assert np.array_equal(H.copy_to_host(), matrix)
    if isinstance(library, Double):
        assert library.calls == ["potrf", "potri", "potrf"]


def test_eigenvectors_are_rows(library, matrix, there):
    values, rows = dense.eigenvectors(there(matrix))
    V = rows.copy_to_host()
    assert np.abs(values - np.linalg.eigvalsh(matrix)).max() < 1e-13
    assert np.abs(V @ matrix - values[:, np.newaxis] * V).max() < 1e-13
    assert np.abs(V @ V.T - np.eye(9)).max() < 1e-13
    if isinstance(library, Double):
        assert library.calls == ["syevd"]


def test_what_fails_says_so(matrix, there, monkeypatch):
    H, double = there(matrix), Double()
    double.cusolverDnXsyevd_bufferSize = lambda *arguments: 7
    double.cusolverDnDpotri_bufferSize = lambda *arguments: 3
    monkeypatch.setattr(solver, "library", lambda: double)
    monkeypatch.setattr(solver, "address", lambda array: 0)
    with pytest.raises(RuntimeError, match=r"^cusolverDnXsyevd_bufferSize failed with status 7$"):
        dense.eigenvectors(H)
    with pytest.raises(RuntimeError, match=r"^cusolverDnDpotri_bufferSize failed with status 3$"):
        dense.inverse_from(H)
    for info, message in ((2, "were not found: 2 of them did not"), (-3, "^syevd refused its argument 3$")):
        monkeypatch.setattr(
            solver.Solver, "eigenvectors", lambda *arguments, info=info: there(np.array([info], np.int32))
        )
        with pytest.raises(RuntimeError, match=message):
            dense.eigenvectors(H)


def test_its_absence_is_no_error(monkeypatch):
    monkeypatch.setattr(solver, "simulated", lambda: False)
    solver.library.cache_clear()
    try:
        found = solver.library()
        assert found is None or found.cusolverDnXsyevd.argtypes
        assert solver.library() is found
    finally:
        solver.library.cache_clear()
