"""Kernel regression by conjugate gradients, labels in the eigenbasis, and the complexity of labels."""

import math
import warnings

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

import fastntk
from fastntk.matrices import operators


@pytest.fixture
def data(rng):
    X = rng.standard_normal((150, 60))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, rng.standard_normal(150)


def smooth(n):
    """A Gram matrix with a few large eigenvalues and a long tail: points on a line, far from the origin."""
    X = np.column_stack([np.linspace(-1.0, 1.0, n), np.full(n, 2.0)])
    return fastntk.limit_gram(X, layers="second"), np.sin(3.0 * X[:, 0])


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("rank", [0, 10, 150])
def test_solution_equals_the_direct_one(data, ridge, rank):
    X, y = data
    H = fastntk.limit_gram(X)
    exact = np.linalg.solve(H + ridge * np.eye(150), y)
    least = np.linalg.eigvalsh(H)[0] + ridge
    for matrix in (H, fastntk.gram_operator(X), aslinearoperator(H)):
        found = fastntk.kernel_regression(matrix, y, ridge, rtol=1e-10, rank=rank)
        error = np.linalg.norm(found.coefficients - exact)
        assert found.converged
        assert found.residual_norms <= 1e-10 * np.linalg.norm(y)
        assert error <= found.residual_norms / least + 1e-13
        residual = np.linalg.norm(H @ found.coefficients + ridge * found.coefficients - y)
        assert found.residual_norms == pytest.approx(residual, abs=1e-13)


def test_several_sets_of_labels_share_their_products(data, monkeypatch):
    X, y = data
    Y = np.column_stack([y, np.zeros(150), 1e-9 * np.cos(y), X[:, 0], y])
    operator = fastntk.gram_operator(X)
    products = []
    plain = operators.GramOperator._matmat
    monkeypatch.setattr(
        operators.GramOperator, "_matmat", lambda self, V: (products.append(V.shape), plain(self, V))[1]
    )
    found = fastntk.kernel_regression(operator, Y, rtol=1e-9)
    assert found.coefficients.shape == (150, 5)
    assert found.residual_norms.shape == (5,)
    assert len(products) <= found.iterations + 3
    assert (found.residual_norms <= 1e-9 * np.linalg.norm(Y, axis=0)).all()
    assert not found.coefficients[:, 1].any()
    for column in range(5):
        alone = fastntk.kernel_regression(operator, Y[:, column], rtol=1e-9)
        np.testing.assert_allclose(found.coefficients[:, column], alone.coefficients, rtol=1e-6, atol=1e-16)
        assert isinstance(alone.residual_norms, float)


def test_predictions_interpolate(data):
    X, y = data
    found = fastntk.kernel_regression(fastntk.gram_operator(X), y, rtol=1e-11)
    np.testing.assert_allclose(fastntk.gram_operator(X[:20], X) @ found.coefficients, y[:20], atol=1e-9)


def test_preconditioner_saves_iterations():
    H, y = smooth(300)
    ridge = 1e-4
    plain = fastntk.kernel_regression(H, y, ridge, rtol=1e-8)
    better = fastntk.kernel_regression(H, y, ridge, rtol=1e-8, rank=20)
    assert plain.converged
    assert better.converged
    assert better.iterations * 3 <= plain.iterations
    np.testing.assert_allclose(better.coefficients, plain.coefficients, atol=1e-2)


def test_diagonal_saves_iterations(rng):
    """Rows of very different length."""
    X = rng.standard_normal((120, 200)) * np.logspace(-3, 3, 120)[:, None]
    H, y = fastntk.limit_gram(X), rng.standard_normal(120)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastntk.ConvergenceWarning)
        found = fastntk.kernel_regression(H, H @ y, rtol=1e-12)
    assert found.iterations < 60
    found = fastntk.kernel_regression(fastntk.gram_operator(X), H @ y, rtol=1e-6)
    assert found.iterations < 60


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("size", [1e-180, 1.0, 1e180])
def test_scale(data, scale, size):
    X, y = data
    H = fastntk.limit_gram(X)
    found = fastntk.kernel_regression(scale * H, size * y, rtol=1e-11)
    np.testing.assert_allclose(
        found.coefficients * (scale / size), np.linalg.solve(H, y), rtol=1e-7, atol=1e-9
    )
    assert found.residual_norms <= 1e-11 * size * np.linalg.norm(y)


def test_a_singular_matrix_with_labels_in_its_range(rng):
    X = rng.standard_normal((40, 60))
    X = np.concatenate([X, X])
    y = rng.standard_normal(40)
    with pytest.warns(fastntk.SingularGramWarning, match="rows .* are positive multiples"):
        operator = fastntk.gram_operator(X)
    found = fastntk.kernel_regression(operator, np.concatenate([y, y]), rtol=1e-9)
    assert found.converged
    np.testing.assert_allclose(found.coefficients[:40], found.coefficients[40:], atol=1e-9)


@pytest.mark.parametrize("rank", [0, 4])
def test_zero_matrix(rank):
    found = fastntk.kernel_regression(np.zeros((5, 5)), np.ones(5), ridge=0.5, rank=rank)
    np.testing.assert_allclose(found.coefficients, 2.0)
    none = fastntk.kernel_regression(np.zeros((5, 5)), np.zeros(5), rank=rank)
    assert (none.iterations, none.converged, none.residual_norms) == (0, True, 0.0)


def test_not_converged_says_so(data):
    H, y = smooth(100)
    with pytest.warns(fastntk.ConvergenceWarning, match="stopped after 3 steps at a relative residual of"):
        found = fastntk.kernel_regression(H, y, 1e-6, maxiter=3)
    assert not found.converged
    assert found.iterations == 3
    residual = np.linalg.norm(y - H @ found.coefficients - 1e-6 * found.coefficients)
    assert found.residual_norms == pytest.approx(residual, rel=1e-6)
    assert found.residual_norms <= np.linalg.norm(y)
    with pytest.warns(fastntk.ConvergenceWarning, match="relative residual"):  # beyond what rounding allows
        found = fastntk.kernel_regression(*data_of(data), rtol=1e-20)
    assert found.residual_norms < 1e-13
    assert found.iterations < 500


def data_of(data):
    return fastntk.limit_gram(data[0]), data[1]


@pytest.mark.parametrize("function", [fastntk.kernel_regression, fastntk.label_projections])
@pytest.mark.parametrize(
    ("H", "y", "error", "message"),
    [
        (np.eye(3), np.ones(2), ValueError, r"y must have one entry for each row of H \(3\), got 2"),
        (np.eye(3), np.ones((1, 3)), ValueError, "y must have one entry for each row of H"),
        (np.triu(np.ones((3, 3))), np.ones(3), ValueError, "H must be symmetric"),
        (np.ones((2, 3)), np.ones(2), ValueError, "H must be a square matrix"),
        (aslinearoperator(np.ones((2, 3))), np.ones(2), ValueError, "H must be a square operator"),
    ],
)
def test_bad_input(function, H, y, error, message):
    with pytest.raises(error, match=message):
        function(H, y)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ridge": -1.0}, ValueError, "ridge must be finite and 0 or above, got -1.0"),
        ({"ridge": math.nan}, ValueError, "ridge must be finite and 0 or above, got nan"),
        ({"ridge": "much"}, TypeError, "ridge must be a number"),
        ({"rtol": 0.0}, ValueError, "rtol must be finite and above 0"),
        ({"maxiter": 0}, ValueError, "maxiter must be at least 1"),
        ({"rank": -1}, ValueError, "rank must be at least 0"),
        ({"rank": 4}, ValueError, "rank must be at most the number of rows of H"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        fastntk.kernel_regression(np.eye(3), np.ones(3), **options)


def test_indefinite_matrices_are_noticed():
    with pytest.raises(ValueError, match="its diagonal reaches -1"):
        fastntk.kernel_regression(np.diag([1.0, -1.0]), [1.0, 1.0])
    with pytest.raises(ValueError, match="a direction of curvature"):
        fastntk.kernel_regression(np.array([[1.0, 2.0], [2.0, 1.0]]), [1.0, -1.0])


@pytest.mark.parametrize("k", [None, 1, 10])
def test_label_projections(data, k):
    X, y = data
    H = fastntk.limit_gram(X)
    values, vectors = np.linalg.eigh(H)
    first = 0 if k is None else 150 - k
    found = fastntk.label_projections(H, y, k)
    np.testing.assert_allclose(found.values, values[first:], atol=1e-12)
    np.testing.assert_allclose(np.abs(found.projections), np.abs(vectors.T @ y)[first:], atol=1e-9)
    np.testing.assert_allclose(found.projections, found.vectors.T @ y, atol=1e-13)
    assert isinstance(found, fastntk.Spectrum)
    assert repr(found).startswith("LabelProjections(values=")
    several = fastntk.label_projections(H, np.column_stack([y, -y]), k)
    np.testing.assert_allclose(several.projections, np.column_stack([found.projections, -found.projections]))
    if k is None:
        assert (found.projections**2).sum() == pytest.approx((y**2).sum(), rel=1e-12)
    else:
        implicit = fastntk.label_projections(fastntk.gram_operator(X), y, k)
        np.testing.assert_allclose(np.abs(implicit.projections), np.abs(found.projections), atol=1e-7)


def test_projections_predict_gradient_descent(data):
    """(I - lr H)^k y, component by component."""
    X, y = data
    H = fastntk.limit_gram(X)
    found = fastntk.label_projections(H, y)
    expected = np.linalg.matrix_power(np.eye(150) - 0.5 * H, 20) @ y
    predicted = found.vectors @ ((1.0 - 0.5 * found.values) ** 20 * found.projections)
    np.testing.assert_allclose(predicted, expected, atol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_complexity_of_orthonormal_points(rng, n):
    """H = I / 2, hence sqrt(4 |y|^2 / n)."""
    y = rng.uniform(-1.0, 1.0, n)
    for H in (fastntk.limit_gram(np.eye(n)), fastntk.gram_operator(np.eye(n))):
        found = fastntk.generalization_complexity(H, y)
        assert found == pytest.approx(math.sqrt(4.0 * (y @ y) / n), rel=1e-12)
        assert found.lower <= found <= found.upper


def test_complexity_is_enclosed(data):
    X, y = data
    H = fastntk.limit_gram(X)
    values, vectors = np.linalg.eigh(H)
    exact = math.sqrt(2.0 * ((vectors.T @ y) ** 2 / values).sum() / 150)
    found = fastntk.generalization_complexity(H, y)
    assert found == pytest.approx(exact, rel=1e-12)
    assert found.lower <= exact * (1 + 1e-13)
    assert exact <= found.upper * (1 + 1e-13)
    assert found.upper - found.lower < 1e-10
    implicit = fastntk.generalization_complexity(fastntk.gram_operator(X), y)
    assert implicit == pytest.approx(exact, rel=1e-10)
    assert implicit.upper == math.inf
    assert implicit.lower <= exact * (1 + 1e-12)


def triangular_square(rng, decades):
    """``H = B^T B`` with integers in B but for its diagonal of powers of two, so that products with H are exact."""
    n = 12
    B = np.triu(rng.integers(-1, 2, (n, n)), 1) + np.diag(2.0 ** -np.linspace(0, 3.3 * decades, n).round())
    return B.T @ B, rng.integers(-3, 4, n).astype(float)


@pytest.mark.parametrize("decades", [0.0, 0.3, 0.6, 1.0])
def test_complexity_of_ill_conditioned_matrices(rng, decades):
    H, v = triangular_square(rng, decades)
    exact = math.sqrt(2.0 * (v @ (H @ v)) / 12)
    found = fastntk.generalization_complexity(H, H @ v)
    assert found.lower <= exact <= found.upper
    assert found.upper / found.lower < 1 + 1e-9


@pytest.mark.parametrize("decades", [3.0, 4.0])
def test_complexity_of_matrices_singular_to_working_accuracy(rng, decades):
    H, v = triangular_square(rng, decades)
    with pytest.raises(ValueError, match="H must be positive definite beyond rounding"):
        fastntk.generalization_complexity(H, H @ v)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_complexity_and_scale(data, scale):
    H, y = data_of(data)
    found = fastntk.generalization_complexity(scale * H, y)
    assert found == pytest.approx(fastntk.generalization_complexity(H, y) / math.sqrt(scale), rel=1e-12)


@pytest.mark.parametrize("H", [np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 1.0, -1.0]), -np.eye(3)])
def test_complexity_needs_a_positive_definite_matrix(H):
    with pytest.raises(
        ValueError, match=r"H must be positive definite beyond rounding .* but lambda_min\(H\) is"
    ):
        fastntk.generalization_complexity(H, [1.0, -1.0, 1.0])


@pytest.mark.parametrize("y", [np.ones(2), np.ones((3, 1)), [1.0, np.inf, 0.0]])
def test_complexity_bad_labels(y):
    with pytest.raises(ValueError, match="y must"):
        fastntk.generalization_complexity(np.eye(3), y)
