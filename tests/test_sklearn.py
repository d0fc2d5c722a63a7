"""scikit-learn: the kernel in Gaussian processes and everywhere kernels are taken, the estimators, the dual system."""

import pickle

import numpy as np
import pytest
from scipy import linalg
from scipy.optimize import approx_fprime
from sklearn.base import clone
from sklearn.decomposition import KernelPCA
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

import fastntk
from fastntk.sklearn import NTKClassifier, NTKKernel, NTKRegressor
from fastntk.sklearn.dual import dual_coefficients

SETTINGS = [
    {},
    {"layers": "first"},
    {"layers": "second", "depth": 2, "scale": 2**0.5},
    {"layers": "both", "depth": 3, "scale": 1.3, "bias": 0.7},
]
# scikit-learn leaves these out by itself: one needs a setting of SciPy's, the other pandas.
NEED_MORE = {
    "check_array_api_input",
    "check_classifier_data_not_an_array",
    "check_regressor_data_not_an_array",
}


@pytest.mark.parametrize("estimator", [NTKRegressor, NTKClassifier])
@pytest.mark.parametrize("settings", [{}, {"depth": 3, "bias": 1.0, "normalize": True, "alpha": 0.1}])
def test_check_estimator(estimator, settings):
    results = check_estimator(estimator(**settings), on_skip=None)
    assert len(results) > 40
    left_out = {result["check_name"] for result in results if result["status"] != "passed"}
    assert left_out <= NEED_MORE


@pytest.fixture
def data(rng):
    X = rng.standard_normal((40, 4))
    return X, np.abs(X[:, 0]) + 0.1 * X[:, 1], rng.standard_normal((7, 4))


@pytest.mark.parametrize("settings", SETTINGS)
def test_kernel_values(settings, data):
    X, _, Z = data
    kernel = NTKKernel(**settings)
    options = {"layers": "both", **settings}
    bias = options.pop("bias", 0.0)
    K, cross = fastntk.limit_gram(X, **options), fastntk.limit_gram(X, Z, **options)
    if bias:
        X1, Z1 = (np.hstack([rows, np.full((len(rows), 1), bias)]) for rows in (X, Z))
        K, cross = fastntk.limit_gram(X1, **options), fastntk.limit_gram(X1, Z1, **options)
    assert np.array_equal(kernel(X), K)
    assert np.array_equal(kernel(X, Z), cross)
    assert np.array_equal(kernel.diag(X), np.diag(K))
    value, gradient = kernel(X, eval_gradient=True)
    assert np.array_equal(value, K)
    assert gradient.shape == (40, 40, 0)
    assert kernel.theta.shape == (0,)
    assert kernel.bounds.shape == (0,)
    assert not kernel.is_stationary()


@pytest.mark.parametrize("settings", SETTINGS)
def test_kernel_copies(settings, data):
    kernel = NTKKernel(**settings)
    for copy in (clone(kernel), pickle.loads(pickle.dumps(kernel)), kernel.clone_with_theta(kernel.theta)):
        assert copy == kernel
        assert copy is not kernel
        assert np.array_equal(copy(data[0]), kernel(data[0]))
    assert eval(repr(kernel)) == kernel
    assert kernel.get_params() == {"layers": "both", "depth": 1, "scale": 1.0, "bias": 0.0, **settings}
    assert kernel.set_params(depth=2, layers="second").depth == 2
    assert kernel != NTKKernel(depth=5)


def test_sums_products_powers(data):
    X, _, Z = data
    kernel, rbf = NTKKernel(depth=2), RBF(1.5)
    K, R = kernel(X, Z), rbf(X, Z)
    np.testing.assert_allclose((kernel + rbf)(X, Z), K + R, rtol=1e-14)
    np.testing.assert_allclose((rbf * kernel)(X, Z), K * R, rtol=1e-14)
    np.testing.assert_allclose((2.0 * kernel**2)(X, Z), 2 * K**2, rtol=1e-14)
    both = 2.0 * kernel**2 + DotProduct() * kernel + rbf
    np.testing.assert_allclose(both.diag(X), np.diag(both(X)), rtol=1e-13)
    assert clone(both) == both
    assert pickle.loads(pickle.dumps(both)) == both


def test_gradients_of_composed_kernels(data):
    X = data[0][:12]
    kernel = ConstantKernel(0.7) * NTKKernel(bias=0.5) ** 2 + NTKKernel(depth=3) * RBF(2.0) + WhiteKernel(0.1)
    gradient = kernel(X, eval_gradient=True)[1]
    assert gradient.shape == (12, 12, 3)
    numerical = approx_fprime(kernel.theta, lambda theta: kernel.clone_with_theta(theta)(X).ravel(), 1e-7)
    np.testing.assert_allclose(gradient.reshape(-1, 3), numerical, rtol=0, atol=1e-5 * abs(numerical).max())


def test_gaussian_process_regression():
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((40, 2)), rng.standard_normal((7, 2))
    y = np.abs(X[:, 0]) + 0.3 * rng.standard_normal(
        40
    )  # noise, so that no hyper-parameter runs into its bounds
    kernel = ConstantKernel() * NTKKernel(depth=2, bias=1.0) + WhiteKernel(1e-2)
    model = GaussianProcessRegressor(kernel).fit(X, y)
    value, gradient = model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)
    assert value > model.log_marginal_likelihood(kernel.theta)  # the hyper-parameters were moved
    assert np.abs(gradient).max() < 1e-2
    start = kernel.theta
    exact = model.log_marginal_likelihood(start, eval_gradient=True)[1]
    np.testing.assert_allclose(exact, approx_fprime(start, model.log_marginal_likelihood, 1e-6), rtol=1e-4)
    constant, noise = np.exp(model.kernel_.theta)
    ridge = NTKRegressor(depth=2, bias=1.0, alpha=noise / constant).fit(X, y)
    np.testing.assert_allclose(model.predict(Z), ridge.predict(Z), rtol=0, atol=1e-7)
    assert model.predict(Z, return_std=True)[1].min() > 0
    plain = GaussianProcessRegressor(NTKKernel(), alpha=0.1).fit(X, y)
    np.testing.assert_allclose(plain.predict(Z), NTKRegressor(alpha=0.1).fit(X, y).predict(Z), atol=1e-10)


def test_gaussian_process_classification(data):
    X, y, _ = data
    labels = X[:, 0] + X[:, 1] + 0.3 * np.cos(1e3 * np.arange(len(X))) > 0
    model = GaussianProcessClassifier(ConstantKernel() * NTKKernel(bias=1.0)).fit(X, labels)
    assert model.score(X, labels) > 0.9


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("alpha", [1.0, 1e-2, 0.0])
def test_kernel_ridge_of_scikit_learn(settings, alpha, data):
    X, y, Z = data
    kernel = NTKKernel(**settings)
    targets = np.column_stack([y, -2 * y, X[:, 2] ** 2])
    for t in (y, targets):
        ours = NTKRegressor(**settings, alpha=alpha).fit(X, t)
        theirs = KernelRidge(alpha=alpha, kernel="precomputed").fit(kernel(X), t)
        assert ours.dual_coef_.shape == theirs.dual_coef_.shape
        scale = np.abs(theirs.dual_coef_).max()
        np.testing.assert_allclose(ours.dual_coef_, theirs.dual_coef_, rtol=0, atol=1e-10 * scale)
        np.testing.assert_allclose(ours.predict(Z), theirs.predict(kernel(Z, X)), rtol=0, atol=1e-10)
        by_object = KernelRidge(alpha=alpha, kernel=kernel).fit(X, t)
        assert np.array_equal(by_object.dual_coef_, theirs.dual_coef_)
    if alpha == 0.0:
        np.testing.assert_allclose(ours.predict(X), targets, rtol=0, atol=1e-9)  # interpolates


def test_classifier_is_regression_on_signs(data):
    X, y, Z = data
    labels = np.array(["low", "middle", "top"])[np.digitize(y, np.quantile(y, [0.4, 0.7]))]
    model = NTKClassifier(depth=2, alpha=0.1).fit(X, labels)
    signs = np.where(labels[:, np.newaxis] == model.classes_, 1.0, -1.0)
    values = NTKRegressor(depth=2, alpha=0.1).fit(X, signs).predict(Z)
    assert model.classes_.tolist() == ["low", "middle", "top"]
    np.testing.assert_allclose(model.decision_function(Z), values, rtol=0, atol=1e-13)
    assert np.array_equal(model.predict(Z), model.classes_[values.argmax(axis=1)])
    two = NTKClassifier(alpha=0.1).fit(X, labels == "top")
    values = NTKRegressor(alpha=0.1).fit(X, np.where(labels == "top", 1.0, -1.0)).predict(Z)
    assert two.dual_coef_.shape == (40,)
    np.testing.assert_allclose(two.decision_function(Z), values, rtol=0, atol=1e-13)
    assert np.array_equal(two.predict(Z), values > 0)


def test_support_vector_machines(data):
    X, y, Z = data
    labels, kernel = y > np.median(y), NTKKernel(depth=2)
    K = fastntk.limit_gram(X, layers="both", depth=2)
    given = SVC(kernel="precomputed").fit(K, labels)
    for callable_kernel in (kernel, lambda A, B: fastntk.limit_gram(A, B, layers="both", depth=2)):
        model = SVC(kernel=callable_kernel).fit(X, labels)
        values = given.decision_function(fastntk.limit_gram(Z, X, layers="both", depth=2))
        np.testing.assert_allclose(model.decision_function(Z), values, rtol=0, atol=1e-9)


def test_grids_reach_into_the_kernel(data):
    X, y, _ = data
    for model, name in ((KernelRidge(0.1, kernel=NTKKernel()), "kernel__depth"), (NTKRegressor(), "depth")):
        search = GridSearchCV(model, {name: [1, 2]}, cv=3).fit(X, y)
        assert search.best_params_[name] in (1, 2)
    assert KernelPCA(2, kernel=NTKKernel()).fit_transform(X).shape == (40, 2)


def test_normalize(data):
    X, y, Z = data
    X[3] = 0
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    unit = np.divide(X, lengths, out=np.zeros_like(X), where=lengths > 0)
    model = NTKRegressor(normalize=True, bias=0.5).fit(X, y)
    same = NTKRegressor(bias=0.5).fit(unit, y)
    np.testing.assert_allclose(model.predict(Z), same.predict(Z / np.linalg.norm(Z, axis=1, keepdims=True)))
    np.testing.assert_allclose(model.predict(Z * 1e-200), model.predict(Z * 1e200), rtol=1e-12)


def test_the_training_rows_are_a_copy(data):
    X, y, Z = data
    model = NTKRegressor().fit(X, y)
    assert np.array_equal(model.X_fit_, X)
    before = model.predict(Z)
    X[:] = 0
    assert np.array_equal(model.predict(Z), before)


def test_precisions(data):
    X, y, Z = data
    model = NTKRegressor().fit(X.astype(np.float32), y.astype(np.float32))
    assert model.X_fit_.dtype == np.float32
    assert model.predict(Z).dtype == np.float64
    np.testing.assert_allclose(model.predict(Z), NTKRegressor().fit(X, y).predict(Z), atol=1e-5)


def test_predictions_in_blocks(data, monkeypatch):
    X, y, Z = data
    model = NTKRegressor().fit(X, np.column_stack([y, y]))
    monkeypatch.setattr("fastntk.sklearn.estimators._BLOCK", 2 * len(X))
    found = model.predict(Z)
    np.testing.assert_allclose(found, NTKKernel()(Z, X) @ model.dual_coef_, rtol=0, atol=1e-13)


@pytest.mark.parametrize("alpha", [1e-8, 1.0])
def test_dual_system(alpha, rng):
    n = 30
    A = rng.standard_normal((n, n))
    K, Y = A @ A.T, rng.standard_normal((n, 2))
    want = np.linalg.solve(K + alpha * np.eye(n), Y)
    np.testing.assert_allclose(dual_coefficients(K, Y, alpha), want, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 7, 20])
def test_singular_systems_get_the_least_norm_solution(rank, rng):
    A, Y = rng.standard_normal((25, rank)), rng.standard_normal((25, 3))
    K = A @ A.T
    with pytest.warns(linalg.LinAlgWarning, match="plus alpha = 0 on the diagonal is singular to working"):
        found = dual_coefficients(K.copy(), Y, 0.0)
    np.testing.assert_allclose(found, np.linalg.pinv(K, rcond=1e-12, hermitian=True) @ Y, rtol=0, atol=1e-8)


def test_no_kernel_at_all():
    with pytest.warns(linalg.LinAlgWarning, match=r"\(reciprocal condition number 0.0e\+00\)"):
        assert not dual_coefficients(np.zeros((3, 3)), np.ones((3, 1)), 0.0).any()


def test_repeated_rows(data):
    X, y, Z = data
    X, y = np.vstack([X, X[:3]]), np.append(y, y[:3])
    with pytest.warns(linalg.LinAlgWarning, match="as it is for repeated rows") as caught:
        model = NTKRegressor(alpha=0.0).fit(X, y)
    assert [one.filename for one in caught] == [__file__]
    np.testing.assert_allclose(model.predict(X), y, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        model.predict(Z), NTKRegressor(alpha=0.0).fit(X[:-3], y[:-3]).predict(Z), atol=1e-8
    )
    NTKRegressor(alpha=1e-6).fit(X, y)


@pytest.mark.parametrize("estimator", [NTKRegressor, NTKClassifier])
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"alpha": -1.0}, ValueError, "alpha must be finite and 0 or above, got -1.0"),
        ({"alpha": "1"}, TypeError, "alpha must be a number, got '1'"),
        ({"bias": np.nan}, ValueError, "bias must be finite and 0 or above, got nan"),
        ({"depth": 0}, ValueError, "depth must be at least 1, got 0"),
        ({"depth": 2.0}, TypeError, "depth must be an integer, got 2.0"),
        ({"layers": "first", "depth": 2}, ValueError, "depth must be 1 for layers='first'"),
        ({"layers": "all"}, ValueError, "layers must be one of 'first', 'second', 'both', got 'all'"),
        ({"scale": 0}, ValueError, "scale must be finite and above 0, got 0"),
    ],
)
def test_bad_parameters(estimator, settings, error, message):
    with pytest.raises(error, match=message):
        estimator(**settings).fit(np.eye(3), [0, 1, 1])


def test_bad_data(data):
    X, y, _ = data
    with pytest.raises(ValueError, match="y must have at least 2 classes, got 1 class: "):
        NTKClassifier().fit(X, np.ones(40, int))
    with pytest.raises(NotFittedError):
        NTKRegressor().predict(X)
    with pytest.raises(ValueError, match="eval_gradient must be False where Y is given, got True"):
        NTKKernel()(X, X, eval_gradient=True)
    with pytest.raises(ValueError, match="Y must be finite, got nan"):
        NTKKernel()(X, np.full((1, 4), np.nan))


def test_without_scikit_learn(python):
    script = """
import json, sys
import fastntk
before = "sklearn" in sys.modules
sys.modules["sklearn"] = None
try:
    import fastntk.sklearn
except ImportError as error:
    print(json.dumps([before, str(error)]))
"""
    assert python(script) == [
        False,
        "fastntk.sklearn needs scikit-learn, which is not installed: pip install fastntk[sklearn]",
    ]
