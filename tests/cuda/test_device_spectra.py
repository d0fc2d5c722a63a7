"""Eigenvalues, alignment and regression of arrays on a GPU: the numbers, bounds and errors of the CPU."""

import numpy as np
import pytest

import fastntk
from fastntk import spectra
from fastntk.compilation.jit_cuda import cuda, simulated


def host(array):
    return np.asarray(array.copy_to_host())


class Foreign:
    """An array that is known by its ``__cuda_array_interface__`` alone."""

    def __init__(self, values):
        self.values = values if simulated() else cuda.to_device(values)
        description = "__array_interface__" if simulated() else "__cuda_array_interface__"
        self.__cuda_array_interface__ = getattr(self.values, description)


@pytest.fixture
def matrix():
    A = np.random.default_rng(4).standard_normal((9, 14))
    return A @ A.T / 14


def close(found, expected):
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert 0.0 < found.residual_bound < 1e-12
    assert found.outer_bound == pytest.approx(expected.outer_bound, rel=1e-11)
    assert abs(abs(host(found.vector) @ expected.vector) - 1.0) < 1e-10


def test_extreme_eigenvalues(matrix, there):
    H = there(matrix)
    smallest = fastntk.lambda_min(H)
    close(smallest, fastntk.lambda_min(matrix))
    assert smallest.outer_bound <= np.linalg.eigvalsh(matrix)[0] <= smallest.value + 1e-15
    close(spectra.lambda_max(H), spectra.lambda_max(matrix))
    found, expected = fastntk.condition_number(H), fastntk.condition_number(matrix)
    assert found.lower <= found <= found.upper
    assert found == pytest.approx(expected, rel=1e-10)
    assert np.array_equal(host(H), matrix)


def test_nearly_symmetric_single_precision(matrix, there):
    single = (matrix + 1e-6 * np.triu(np.ones((9, 9)), 1)).astype(np.float32)
    assert float(fastntk.lambda_min(there(single))) == pytest.approx(
        float(fastntk.lambda_min(single)), rel=1e-12
    )


def test_norms(matrix, there):
    other = np.diag(np.arange(9.0))
    found, expected = spectra.spectral_norm(there(matrix), there(other)), spectra.spectral_norm(matrix, other)
    assert found == pytest.approx(float(expected), rel=1e-12)
    assert found.outer_bound == np.inf
    assert abs(abs(host(found.vector) @ expected.vector) - 1.0) < 1e-10
    assert spectra.spectral_norm(there(matrix)) == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-12)


@pytest.mark.parametrize(("k", "which"), [(2, "smallest"), (2, "both"), (None, "largest"), (1, "largest")])
def test_spectrum(matrix, there, k, which):
    found, expected = fastntk.spectrum(there(matrix), k, which), fastntk.spectrum(matrix, k, which)
    assert np.abs(found.values - expected.values).max() < 1e-13
    assert np.abs(host(found.vectors) - expected.vectors).max() < 1e-9
    assert found.residual_bounds.shape == expected.residual_bounds.shape
    assert found.residual_bounds.max() < 1e-12
    assert 0.0 < found.order_bound < 3.0 * expected.order_bound
    assert repr(found).startswith("Spectrum(values=[")


@pytest.mark.parametrize("columns", [None, 2])
def test_labels_in_the_eigenbasis(matrix, there, columns):
    rng = np.random.default_rng(6)
    y = rng.standard_normal(9) if columns is None else rng.standard_normal((9, columns))
    found = fastntk.label_projections(there(matrix), there(y), 3)
    expected = fastntk.label_projections(matrix, y, 3)
    assert found.projections.shape == expected.projections.shape
    assert np.abs(host(found.projections) - expected.projections).max() < 1e-9
    assert np.abs(found.values - expected.values).max() < 1e-13


def test_complexity(matrix, there):
    y = np.random.default_rng(6).standard_normal(9)
    found, expected = (
        fastntk.generalization_complexity(there(matrix), there(y)),
        fastntk.generalization_complexity(matrix, y),
    )
    assert found.lower <= found <= found.upper
    assert found.upper - found.lower < 1e-10
    assert found == pytest.approx(expected, rel=1e-11)
    with pytest.raises(
        ValueError, match=r"^H must be positive definite beyond rounding .* lambda_min\(H\) is "
    ):
        fastntk.generalization_complexity(there(np.diag([1.0, 0.0])), there(np.ones(2)))


@pytest.mark.parametrize("columns", [None, 2])
def test_regression(matrix, there, columns):
    y = np.random.default_rng(6).standard_normal(9 if columns is None else (9, columns))
    found = fastntk.kernel_regression(
        there(matrix), there(y), 0.1, rtol=1e-10, rank=0 if columns is None else 2
    )
    assert found.converged
    assert found.coefficients.shape == y.shape
    exact = np.linalg.solve(matrix + 0.1 * np.eye(9), y)
    assert np.abs(host(found.coefficients) - exact).max() < 1e-8
    assert np.shape(found.residual_norms) == (() if columns is None else (columns,))
    assert np.max(found.residual_norms) <= 1e-10 * np.linalg.norm(y)


def test_operators_take_labels_from_anywhere(there):
    """Operators of points on a GPU too; coefficients come back to where the labels are."""
    X, y = fastntk.datasets.sphere(5, 3, seed=2)
    expected = np.linalg.solve(fastntk.limit_gram(X) + np.eye(5), y)
    for H in (fastntk.gram_operator(X), fastntk.gram_operator(there(X))):
        for labels in (y, there(y)):
            found = fastntk.device.arrays.on_host(
                fastntk.kernel_regression(H, labels, 1.0, rtol=1e-10).coefficients
            )
            assert np.abs(found - expected).max() < 1e-9
    H = fastntk.gram_operator(X)
    projections = fastntk.label_projections(H, there(y), 2).projections
    assert np.allclose(projections, fastntk.label_projections(H, y, 2).projections)
    forms = fastntk.generalization_complexity(H, there(y)), fastntk.generalization_complexity(H, y)
    assert forms[0] == pytest.approx(float(forms[1]), rel=1e-12)


def test_arrays_of_other_libraries(matrix):
    """Their precision, which decides how symmetric they must be, is seen too."""
    single = (matrix + 1e-6 * np.triu(np.ones((9, 9)), 1)).astype(np.float32)
    H, y = Foreign(single), Foreign(np.arange(9.0))
    found = fastntk.label_projections(H, y, 2)
    assert np.allclose(
        host(found.projections), fastntk.label_projections(single, np.arange(9.0), 2).projections
    )
    assert fastntk.generalization_complexity(H, y) == pytest.approx(
        float(fastntk.generalization_complexity(single, np.arange(9.0))), rel=1e-11
    )
    expected = fastntk.kernel_regression(single, np.arange(9.0), 1.0).coefficients
    assert np.allclose(host(fastntk.kernel_regression(H, y, 1.0).coefficients), expected, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:overflow encountered")  # by the simulator
def test_refused_by_name(matrix, there):
    H, y = there(matrix), there(np.ones(9))
    broken = matrix.copy()
    broken[3, 4] = np.nan
    for call, error, message in (
        (
            lambda: fastntk.lambda_min(there(matrix[:, :5])),
            ValueError,
            r"^H must be a square matrix, got shape \(9, 5\)$",
        ),
        (lambda: fastntk.lambda_min(there(broken)), ValueError, r"^H must be finite, got nan or inf$"),
        (
            lambda: fastntk.lambda_min(there(np.triu(matrix))),
            ValueError,
            r"^H must be symmetric, but H and its transp",
        ),
        (
            lambda: fastntk.lambda_min(there(1e200 * matrix)),
            ValueError,
            r"^H must hold finite numbers of moderate",
        ),
        (
            lambda: fastntk.spectrum(H, 10),
            ValueError,
            r"^k must be at most the number of rows of H \(9\), got 10$",
        ),
        (lambda: fastntk.spectrum(H, which="middle"), ValueError, r"^which must be one of "),
        (
            lambda: fastntk.label_projections(H, there(np.ones(3))),
            ValueError,
            r"^y must have one entry .* got 3$",
        ),
        (
            lambda: fastntk.generalization_complexity(H, there(np.ones(3))),
            ValueError,
            r"^y must have one entry ",
        ),
        (
            lambda: fastntk.kernel_regression(H, there(np.ones(3))),
            ValueError,
            r"^y must have one entry .* got 3$",
        ),
        (lambda: fastntk.kernel_regression(H, there(np.full(9, np.inf))), ValueError, r"^y must be finite"),
        (lambda: fastntk.condition_number(there(-matrix)), ValueError, r"^H must be positive semi-definite"),
    ):
        with pytest.raises(error, match=message):
            call()
    for call in (
        lambda: fastntk.label_projections(H, np.ones(9)),
        lambda: fastntk.generalization_complexity(matrix, y),
        lambda: fastntk.kernel_regression(H, np.ones(9)),
        lambda: spectra.spectral_norm(H, matrix),
        lambda: spectra.SpectralNorm().update(matrix, H),
    ):
        with pytest.raises(
            TypeError, match=r"must live in the same memory, got [AH] on .* GPU.*: move one of them$"
        ):
            call()


def test_too_large(matrix, there, monkeypatch):
    monkeypatch.setattr(fastntk.device.arrays, "available_bytes", lambda: 100.0)
    with pytest.raises(fastntk.MemoryLimitError, match=r"^the eigenvectors of n=9 rows needs 2592 bytes"):
        fastntk.lambda_min(there(matrix))


def test_results_are_given_to_the_library_of_the_matrix(matrix, monkeypatch):
    """Vectors, projections and coefficients, each in memory of its own."""
    given = []
    monkeypatch.setattr(
        "fastntk.cuda.spectra.certified.give_back",
        lambda array, library: given.append((array, library)) or array,
    )
    H, y = cuda.to_device(matrix), cuda.to_device(np.ones(9))
    found = [
        fastntk.lambda_min(H).vector,
        fastntk.spectrum(H).vectors,
        fastntk.label_projections(H, y).projections,
    ]
    assert [array for array, _ in given if any(array is one for one in found)] == found
    assert {library for _, library in given} == {type(H).__module__.partition(".")[0]}


@pytest.mark.gpu
def test_large_matrices(there):
    """At a size where every kernel fills the device, and cuSOLVER has work."""
    X, y = fastntk.datasets.sphere(1500, 300, seed=1)
    H = fastntk.limit_gram(X)
    close(fastntk.lambda_min(there(H)), fastntk.lambda_min(H))
    found, expected = fastntk.spectrum(there(H), 5, "both"), fastntk.spectrum(H, 5, "both")
    assert np.abs(found.values - expected.values).max() < 1e-11
    assert found.order_bound < 1e-6
    form = fastntk.generalization_complexity(there(H), there(y))
    assert form == pytest.approx(float(fastntk.generalization_complexity(H, y)), rel=1e-9)
