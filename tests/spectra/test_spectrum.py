"""Several eigenpairs at once and condition numbers: against known spectra, and that the bounds are true."""

import math
import pickle

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import fastntk
from fastntk.matrices import operators
from fastntk.spectra import conditioning, implicit, pairs

ENDS = ("smallest", "largest", "both")


def circle(n):
    angles = 2 * np.pi * np.arange(n) / n
    return np.column_stack([np.cos(angles), np.sin(angles)])


def rotated(values, seed=0):
    """A symmetric matrix with these eigenvalues, up to rounding."""
    n = len(values)
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    H = (basis * values) @ basis.T
    return (H + H.T) / 2


def expected_positions(n, k, which):
    if which == "both" and 2 * k >= n:
        return np.arange(n)
    return {"smallest": np.arange(k), "largest": np.arange(n - k, n), "both": np.r_[0:k, n - k : n]}[which]


def check(found, H, exact, which, k, slack=0.0):
    """Right values, true bounds, orthonormal vectors; `slack`: how well `exact` itself is known."""
    n = len(H)
    positions = expected_positions(n, k, which)
    assert len(found) == len(positions)
    assert found.vectors.shape == (n, len(positions))
    assert (np.diff(found.values) >= 0).all()
    distances = np.abs(found.values[:, None] - exact).min(axis=1)
    assert (distances <= found.residual_bounds + slack).all()
    residuals = np.linalg.norm(H @ found.vectors - found.vectors * found.values, axis=0)
    assert (residuals <= found.residual_bounds).all()
    assert np.abs(found.values - exact[positions]).max() <= found.order_bound + slack
    assert np.abs(found.vectors.T @ found.vectors - np.eye(len(positions))).max() < 1e-9
    peaks = np.take_along_axis(found.vectors, np.abs(found.vectors).argmax(axis=0)[None], axis=0)
    assert (peaks > 0.0).all()


@pytest.mark.parametrize("which", ENDS)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (2, 2), (5, 2), (63, 6), (64, 64), (130, 40), (200, 6)])
def test_random_matrices(rng, n, k, which):
    H = rng.standard_normal((n, n))
    H = (H + H.T) / 2
    norm = np.linalg.norm(H)
    found = fastntk.spectrum(H, k, which)
    check(found, H, np.linalg.eigvalsh(H), which, k, 1e-14 * n * norm)
    assert found.residual_bounds.max() < 1e-13 * n * norm
    assert found.order_bound < 1e-11 * norm  # proven, and tightly


@pytest.mark.parametrize("which", ENDS)
@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1.0, 1e30, 1e100])
def test_scale(which, scale):
    values = np.linspace(1.0, 3.0, 50)
    H = rotated(values)
    found = fastntk.spectrum(scale * H, 4, which)
    check(found, scale * H, scale * values, which, 4, scale * 1e-13)
    assert found.order_bound < 1e-10 * scale


@pytest.mark.parametrize("which", ENDS)
@pytest.mark.parametrize(
    "values",
    [
        np.ones(40),
        np.zeros(40),
        np.r_[np.zeros(20), np.ones(20)],
        np.r_[1.0 + 1e-13 * np.arange(20), np.full(20, 2.0)],
        np.r_[1e-12, np.logspace(-9, 0, 39)],
        np.r_[-np.ones(3), np.zeros(30), np.ones(7)],
    ],
    ids=["identity", "zero", "projector", "cluster", "decay", "indefinite"],
)
def test_clusters_and_singular_matrices(values, which):
    H = rotated(values)
    found = fastntk.spectrum(H, 5, which)
    check(found, H, values, which, 5, 1e-14)
    assert found.order_bound < 1e-10


@pytest.mark.parametrize("H", [np.zeros((6, 6)), np.eye(6), np.diag([0.0, 0, 0, 1, 1, 1])])
@pytest.mark.parametrize("which", ENDS)
def test_exact_matrices(H, which):
    for k in (1, 3, 6):
        found = fastntk.spectrum(H, k, which)
        np.testing.assert_allclose(found.values, H.diagonal()[expected_positions(6, k, which)], atol=1e-15)
        assert found.order_bound < 1e-12


@pytest.mark.parametrize(
    ("n", "least", "most"),
    [
        (5, 0.3, 0.688196601125),
        (7, 0.067934475748, None),
        (101, 0.002481247770, 12.627476445715),
    ],
)
def test_circle(n, least, most):
    H = fastntk.limit_gram(circle(n))
    found = fastntk.spectrum(H, 1, "both")
    assert found.values[0] == pytest.approx(least, abs=2e-12)
    condition = fastntk.condition_number(H)
    if most is not None:
        assert found.values[1] == pytest.approx(most, abs=2e-12)
        assert condition == pytest.approx(most / least, rel=1e-8)
    assert condition.lower <= condition <= condition.upper < condition.lower * (1 + 1e-9)


@pytest.mark.parametrize("n", [8, 14, 100])
def test_even_circle(n):
    """Antipodal points are parallel: eigenvalue n/8 twice, nullity n/2 - 2."""
    with pytest.warns(fastntk.SingularGramWarning, match="opposite directions"):
        H = fastntk.limit_gram(circle(n))
    found = fastntk.spectrum(H, None)
    assert (np.abs(found.values - n / 8) <= found.order_bound).sum() == 2
    assert (np.abs(found.values) <= found.order_bound).sum() == n // 2 - 2
    condition = fastntk.condition_number(H)
    assert condition == condition.upper == math.inf
    assert condition.lower > 1e10


def test_a_pair_that_was_left_out_is_noticed(monkeypatch):
    """LAPACK is made to skip the smallest eigenvalue: each pair is fine, the proof of completeness must fail."""
    values = np.linspace(1.0, 2.0, 30)
    H = rotated(values)

    def skipping(matrix, parts):
        vectors = np.linalg.eigh(matrix)[1]
        return [vectors[:, 1 : 1 + part.stop - part.start] for part in parts]

    monkeypatch.setattr(pairs, "_lapack", skipping)
    found = fastntk.spectrum(H, 4)
    assert found.residual_bounds.max() < 1e-12
    assert found.order_bound >= values[1] - values[0]


def test_vectors_that_are_wrong_have_large_bounds(monkeypatch, rng):
    values = np.linspace(1.0, 2.0, 30)
    H = rotated(values)
    monkeypatch.setattr(pairs, "_lapack", lambda matrix, parts: [rng.standard_normal((30, 4))])
    assert fastntk.spectrum(H, 4).order_bound > 0.1
    monkeypatch.setattr(
        pairs, "_lapack", lambda matrix, parts: [np.linalg.qr(rng.standard_normal((30, 4)))[0]]
    )
    found = fastntk.spectrum(H, 4)
    check(found, H, values, "smallest", 4, 1e-13)
    assert found.residual_bounds.min() > 0.1


@pytest.mark.parametrize("which", ENDS)
def test_operators(rng, which, monkeypatch):
    monkeypatch.setattr(operators, "_EDGE", 128)
    X = rng.standard_normal((300, 40))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    H = fastntk.limit_gram(X)
    exact = np.linalg.eigvalsh(H)
    for operator in (fastntk.gram_operator(X), aslinearoperator(H)):
        found = fastntk.spectrum(operator, 3, which)
        check(found, H, exact, which, 3, 1e-13)
        np.testing.assert_allclose(found.values, exact[expected_positions(300, 3, which)], atol=1e-9)
        assert found.residual_bounds.max() < 1e-8 * exact[-1]
        assert found.order_bound == math.inf
    condition = fastntk.condition_number(fastntk.gram_operator(X))
    assert condition.lower <= exact[-1] / exact[0] * (1 + 1e-12)
    assert condition == pytest.approx(exact[-1] / exact[0], rel=1e-8)
    assert condition.upper == math.inf


@pytest.mark.parametrize("which", ENDS)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scaled_operators(which, scale):
    values = scale * np.r_[-2.0, np.linspace(1.0, 2.0, 298), 9.0]
    H = rotated(values)
    found = fastntk.spectrum(aslinearoperator(H), 1, which)
    check(found, H, values, which, 1, 1e-13 * scale)
    np.testing.assert_allclose(found.values, values[expected_positions(300, 1, which)], rtol=1e-8)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
@pytest.mark.parametrize("which", ENDS)
def test_operators_that_are_multiples_of_the_identity(value, which):
    operator = aslinearoperator(value * np.eye(300))
    found = fastntk.spectrum(operator, 2, which)
    np.testing.assert_allclose(found.values, value, atol=1e-12)
    assert found.residual_bounds.max() < 1e-9


def test_singular_operator():
    with pytest.warns(fastntk.SingularGramWarning, match="opposite directions"):
        operator = fastntk.gram_operator(circle(300))
    found = fastntk.spectrum(operator, 2)
    assert (np.abs(found.values) <= found.residual_bounds).all()
    assert found.residual_bounds.max() < 1e-7


def test_small_operators_are_proven():
    operator = fastntk.gram_operator(circle(7))
    found = fastntk.spectrum(operator, None)
    assert len(found) == 7
    assert found.order_bound < 1e-12
    condition = fastntk.condition_number(operator)
    assert condition.lower <= condition <= condition.upper < condition.lower * (1 + 1e-9)


def test_lanczos_that_does_not_converge(monkeypatch):
    monkeypatch.setattr(implicit, "_RESTARTS", 1)
    H = aslinearoperator(np.diag(np.logspace(-12, 0, 400)))
    with pytest.raises(RuntimeError, match="found 0 of 3 eigenpairs"):
        fastntk.spectrum(H, 3)


def test_repeatable():
    operator = fastntk.gram_operator(circle(301))
    first, second = (fastntk.spectrum(operator, 3, "largest") for _ in range(2))
    assert np.array_equal(first.values, second.values)
    assert np.array_equal(first.vectors, second.vectors)


def test_result_type():
    found = fastntk.spectrum(np.diag([3.0, 1.0, 2.0]), 2)
    assert isinstance(found, fastntk.Spectrum)
    np.testing.assert_allclose(found.values, [1.0, 2.0])
    copy = pickle.loads(pickle.dumps(found))
    assert np.array_equal(copy.vectors, found.vectors)
    assert repr(found).startswith("Spectrum(values=[1. 2.], residual_bounds<=")
    with pytest.raises(AttributeError):
        found.values = None
    condition = fastntk.condition_number(np.diag([4.0, 1.0]))
    assert isinstance(condition, float)
    again = pickle.loads(pickle.dumps(condition))
    assert (again, again.lower, again.upper) == (condition, condition.lower, condition.upper)
    assert repr(fastntk.Enclosed(2.0, 1.0, 3.0)) == "Enclosed(2.0, lower=1.0, upper=3.0)"


def test_float32_matrix(rng):
    H = fastntk.limit_gram(rng.standard_normal((60, 30)), dtype="float32")
    exact = np.linalg.eigvalsh(H.astype(np.float64))
    np.testing.assert_allclose(fastntk.spectrum(H, 3).values, exact[:3], atol=1e-12 * exact[-1])


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("exponent", [0, 3, 8, 12, 17])
def test_condition_number_is_enclosed(n, exponent):
    values = np.logspace(-exponent, 0, n) if n > 1 else np.ones(1)
    found = fastntk.condition_number(np.diag(values))
    exact = values[-1] / values[0]
    assert found.lower <= exact * (1 + 1e-15)
    assert exact <= found.upper * (1 + 1e-15)
    if exponent <= 8 or n == 1:
        assert found == pytest.approx(exact, rel=1e-6)
        assert found.upper / found.lower < 1 + 1e-5


def test_condition_number_of_zero_and_indefinite_matrices():
    zero = fastntk.condition_number(np.zeros((3, 3)))
    assert (zero, zero.lower, zero.upper) == (math.inf, 1.0, math.inf)
    for H in (np.diag([1.0, -1.0]), aslinearoperator(np.diag([1.0, -1.0]))):
        with pytest.raises(ValueError, match="positive semi-definite, but its smallest eigenvalue is -1"):
            conditioning.condition_number(H)


@pytest.mark.parametrize(
    ("H", "options", "error", "message"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], {"k": 1}, ValueError, "H must be symmetric"),
        ([[1.0, 2.0]], {"k": 1}, ValueError, "H must be a square matrix"),
        (np.eye(3), {"k": 0}, ValueError, "k must be at least 1"),
        (np.eye(3), {"k": 4}, ValueError, r"k must be at most the number of rows of H \(3\)"),
        (np.eye(3), {"k": 1.5}, TypeError, "k must be an integer"),
        (np.eye(3), {"k": 1, "which": "middle"}, ValueError, "which must be one of"),
        (aslinearoperator(np.ones((2, 3))), {"k": 1}, ValueError, "H must be a square operator"),
        (aslinearoperator(np.triu(np.ones((300, 300)))), {"k": 1}, ValueError, "H must be symmetric"),
        (aslinearoperator(np.triu(np.ones((3, 3)))), {"k": 1}, ValueError, "H must be symmetric"),
        (aslinearoperator(np.eye(300)), {"k": None}, ValueError, "k must be below the number of rows"),
        (aslinearoperator(np.eye(300)), {"k": 300}, ValueError, "k must be below the number of rows"),
        (aslinearoperator(np.eye(300)), {"k": 301}, ValueError, "k must be at most"),
    ],
)
def test_bad_arguments(H, options, error, message):
    with pytest.raises(error, match=message):
        fastntk.spectrum(H, **options)


def test_operators_that_are_not_symmetric_or_not_finite():
    square = fastntk.gram_operator(circle(5), circle(5)[::-1].copy())
    with pytest.raises(ValueError, match="H must be symmetric"):
        fastntk.spectrum(square, 1)
    broken = LinearOperator((300, 300), matvec=lambda v: np.full(300, np.nan), dtype=np.float64)
    with pytest.raises(ValueError, match="H must map vectors to finite numbers"):
        fastntk.spectrum(broken, 1)
