"""scikit-learn: the kernel in Gaussian processes and everywhere kernels are taken."""

import pickle

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.base import clone
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

import fastntk
from fastntk.sklearn import NTKKernel, NTKRegressor

SETTINGS = [
    {},
    {"layers": "first"},
    {"layers": "second", "depth": 2, "scale": 2**0.5},
    {"layers": "both", "depth": 3, "scale": 1.3, "bias": 0.7},
]


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
    ridge = NTKRegressor(depth=2, bias=1.0, alpha=noise / constant, fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(model.predict(Z), ridge.predict(Z), rtol=0, atol=1e-7)
    assert model.predict(Z, return_std=True)[1].min() > 0
    plain = GaussianProcessRegressor(NTKKernel(), alpha=0.1).fit(X, y)
    np.testing.assert_allclose(
        plain.predict(Z), NTKRegressor(alpha=0.1, fit_intercept=False).fit(X, y).predict(Z), atol=1e-10
    )


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
        ours = NTKRegressor(**settings, alpha=alpha, fit_intercept=False).fit(X, t)
        assert not np.any(ours.intercept_)
        theirs = KernelRidge(alpha=alpha, kernel="precomputed").fit(kernel(X), t)
        assert ours.dual_coef_.shape == theirs.dual_coef_.shape
        scale = np.abs(theirs.dual_coef_).max()
        np.testing.assert_allclose(ours.dual_coef_, theirs.dual_coef_, rtol=0, atol=1e-10 * scale)
        np.testing.assert_allclose(ours.predict(Z), theirs.predict(kernel(Z, X)), rtol=0, atol=1e-10)
        by_object = KernelRidge(alpha=alpha, kernel=kernel).fit(X, t)
        assert np.array_equal(by_object.dual_coef_, theirs.dual_coef_)
    if alpha == 0.0:
        np.testing.assert_allclose(ours.predict(X), targets, rtol=0, atol=1e-9)  # interpolates


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
