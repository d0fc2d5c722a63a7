"""cuSOLVER by a double that computes what cuSOLVER documents; on a device the library itself, where it is installed."""

import inspect

import numpy as np
import pytest

from fastntk.compilation.jit_cuda import simulated
from fastntk.cuda.spectra import dense
from fastntk.kernels.cuda import solver, vendor
from tests.cuda.emulation.cusolver import Double


@pytest.fixture
def library(monkeypatch):
    """The double in the simulator, cuSOLVER or LAPACK on a device."""
    if not simulated():
        found = solver.library()
        if isinstance(found, Double):
            found.calls.clear()
        return found
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
    monkeypatch.setattr(vendor, "simulated", lambda: False)
    library = inspect.unwrap(solver.library)
    found = library()
    assert found is None or found.cusolverDnXsyevd.argtypes
