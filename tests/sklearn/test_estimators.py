"""scikit-learn: the estimators."""

import numpy as np
import pytest
from scipy import linalg
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import KernelCenterer
from sklearn.utils.estimator_checks import check_estimator

from fastntk.sklearn import NTKClassifier, NTKKernel, NTKRegressor

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


def weighted_optimum(K, Y, alpha, weights):
    """Coefficients and a free intercept that minimise weighted squares and ridge: all equations, solved densely."""
    n = len(K)
    S = np.diag(weights)
    lower = np.append(weights @ K, weights.sum())
    system = np.block([[K @ S @ K + alpha * K, (K @ weights)[:, np.newaxis]], [lower]])
    found = np.linalg.lstsq(system, np.vstack([K @ S @ Y, weights @ Y]), rcond=1e-15)[0]
    return found[:n], found[n]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [10.0, 1e-2])
def test_intercept_and_weights_are_the_optimum(alpha, weighted, data, rng):
    X, y, Z = data
    kernel, Y = NTKKernel(depth=2), np.column_stack([y + 5, 30 * X[:, 2] ** 2])
    weights = rng.uniform(0.1, 4, 40) if weighted else np.ones(40)
    A, b = weighted_optimum(kernel(X), Y, alpha, weights)
    model = NTKRegressor(depth=2, alpha=alpha).fit(X, Y, weights if weighted else None)
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-6)
    np.testing.assert_allclose(model.predict(Z), kernel(Z, X) @ A + b, rtol=1e-6)
    one = NTKRegressor(depth=2, alpha=alpha).fit(X, Y[:, 0], weights if weighted else None)
    assert isinstance(one.intercept_, float)
    np.testing.assert_allclose(one.predict(Z), model.predict(Z)[:, 0], rtol=1e-10)


@pytest.mark.parametrize("alpha", [1.0, 0.0, [1.0, 1e-3]])
def test_an_intercept_centres_kernel_and_targets(alpha, data):
    X, y, Z = data
    Y = np.column_stack([y, X[:, 2] ** 2])
    K, cross = NTKKernel()(X), NTKKernel()(Z, X)
    centring = KernelCenterer().fit(K)
    ridge = (
        np.asarray(alpha) if np.ndim(alpha) else alpha + 1e-13 * (alpha == 0)
    )  # a centred kernel is singular
    theirs = KernelRidge(ridge, kernel="precomputed").fit(centring.transform(K), Y - Y.mean(axis=0))
    expected = theirs.predict(centring.transform(cross)) + Y.mean(axis=0)
    found = NTKRegressor(alpha=alpha).fit(X, Y)
    np.testing.assert_allclose(found.predict(Z), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.dual_coef_.sum(axis=0), 0, atol=1e-9 * np.abs(found.dual_coef_).max())


def test_targets_far_from_zero(data):
    X, y, Z = data
    near, far = (NTKRegressor().fit(X, y + shift) for shift in (0, 1e6))
    np.testing.assert_allclose(far.predict(Z) - 1e6, near.predict(Z), atol=1e-8)
    assert cross_val_score(NTKRegressor(alpha=0.1), X, y + 1000).mean() > 0.7
    assert cross_val_score(NTKRegressor(alpha=0.1, fit_intercept=False), X, y + 1000).mean() < 0


@pytest.mark.parametrize("alpha", [1.0, 1e-3, 0.0])
def test_weights_of_scikit_learn(alpha, data, rng):
    X, y, Z = data
    kernel, weights = NTKKernel(), rng.uniform(0.1, 3, 40)
    ours = NTKRegressor(alpha=alpha, fit_intercept=False).fit(X, y, sample_weight=weights)
    theirs = KernelRidge(alpha=alpha, kernel="precomputed").fit(kernel(X), y, sample_weight=weights)
    np.testing.assert_allclose(ours.predict(Z), theirs.predict(kernel(Z, X)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("estimator", [NTKRegressor, NTKClassifier])
@pytest.mark.parametrize("intercept", [False, True])
def test_a_weight_counts_a_sample_as_often(estimator, intercept, data):
    X, y, Z = data
    times = np.arange(40) % 3
    labels = (y > np.median(y)).astype(float) if estimator is NTKClassifier else y
    model = estimator(alpha=0.1, fit_intercept=intercept)
    value = "decision_function" if estimator is NTKClassifier else "predict"
    weighted = getattr(clone(model).fit(X, labels, sample_weight=times), value)(Z)
    repeated = getattr(clone(model).fit(X.repeat(times, axis=0), labels.repeat(times)), value)(Z)
    np.testing.assert_allclose(weighted, repeated, rtol=0, atol=1e-9)
    assert clone(model).fit(X, labels, sample_weight=times).X_fit_.shape == X.shape
    equal = getattr(clone(model).fit(X, labels, sample_weight=1.0), value)(Z)
    np.testing.assert_allclose(equal, getattr(clone(model).fit(X, labels), value)(Z), rtol=0, atol=1e-12)


def test_a_ridge_for_each_target(data):
    X, y, Z = data
    Y, ridges = np.column_stack([y, -y, X[:, 0]]), [1.0, 1e-3, 1.0]
    theirs = KernelRidge(np.array(ridges), kernel="precomputed").fit(NTKKernel()(X), Y)
    ours = NTKRegressor(alpha=ridges, fit_intercept=False).fit(X, Y)
    np.testing.assert_allclose(ours.predict(Z), theirs.predict(NTKKernel()(Z, X)), rtol=0, atol=1e-10)
    assert NTKRegressor(alpha=[2.0]).fit(X, y).predict(Z).shape == (7,)
    for alpha, message in (
        ([1.0, 2.0], r"one for each target \(3\), got 2"), ([1.0, -1.0, 2.0], "alpha must be 0 or above, got -1.0"),
        ([1.0, np.nan, 2.0], "alpha must be finite, got nan at index 1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            NTKRegressor(alpha=alpha).fit(X, Y)
    with pytest.raises(TypeError, match=r"alpha must be a number, got \[1.0, 2.0\]"):
        NTKClassifier(alpha=[1.0, 2.0]).fit(X, y > 0.5)


@pytest.mark.parametrize("classes", [2, 3])
def test_values_calibrate(classes, rng):
    """On a rare class: probabilities are ordered like the values, and a tenth of a million is what happens as often."""
    X = rng.standard_normal((900, 3))
    score = X[:, 0] + 0.5 * rng.standard_normal(900)
    labels = np.digitize(score, np.quantile(score, [0.85] if classes == 2 else [0.3, 0.85]))
    train, test = slice(0, 600), slice(600, 900)
    weights = rng.uniform(0.5, 2, 600)
    model = CalibratedClassifierCV(NTKClassifier(bias=1.0, alpha=10.0), cv=3, ensemble=False)
    model.fit(X[train], labels[train], sample_weight=weights)
    found = model.predict_proba(X[test])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.abs(found.mean(axis=0) - np.bincount(labels[test]) / 300).max() < 0.05
    if classes == 2:
        values = model.calibrated_classifiers_[0].estimator.decision_function(X[test])
        assert (np.diff(found[np.argsort(values), 1]) >= 0).all()
    assert np.mean(model.predict(X[test]) == labels[test]) > 0.7


def test_values_far_from_all_samples_tend_to_the_share_of_the_class():
    X = np.array([[1.0, 0], [0, 1], [1, 1], [2, 1]])
    rare = NTKClassifier(alpha=1e9).fit(X, [0, 0, 0, 1])
    np.testing.assert_allclose(rare.decision_function([[3.0, 1.0]]), -0.5, atol=1e-6)


@pytest.mark.parametrize("estimator", [NTKRegressor, NTKClassifier])
@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1, 2], ValueError, r"sample_weight must have one entry for each row of X \(3\), got 2"),
        ([1, -1, 1], ValueError, "sample_weight must be 0 or above and not all zero, got -1.0"),
        ([0, 0, 0], ValueError, "sample_weight must be 0 or above and not all zero, got 0.0"),
        ([1, np.inf, 1], ValueError, "sample_weight must be finite, got inf at index 1"),
        (0, ValueError, "sample_weight must be finite and above 0, got 0"),
        ("one", TypeError, "sample_weight must be a number, got 'one'"),
    ],
)
def test_bad_weights(estimator, weights, error, message):
    with pytest.raises(error, match=message):
        estimator().fit(np.eye(3), [0, 1, 1], sample_weight=weights)


def test_an_overflow_is_named():
    X, y = np.array([[0.0], [0.0], [1e25], [1e25]]), np.array([0.0, 0.0, 0.0, 1e300])
    with pytest.raises(ValueError, match="must keep the coefficients within float64, got an overflow"):
        NTKRegressor(bias=1.0, alpha=1e40).fit(X, y)
    with pytest.raises(ValueError, match="X must keep the values within float64, got an overflow"):
        NTKRegressor().fit([[1.0], [2.0]], [1e300, 0.0]).predict([[1e140]])


@pytest.mark.parametrize("estimator", [NTKRegressor, NTKClassifier])
def test_a_parameter_that_does_not_exist_names_the_public_class(estimator):
    with pytest.raises(TypeError, match=rf"^{estimator.__name__}.__init__\(\) got an unexpected .* 'ridge'$"):
        estimator(ridge=1)


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
    expected = NTKKernel()(Z, X) @ model.dual_coef_ + model.intercept_
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


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
        ({"fit_intercept": "no"}, TypeError, "fit_intercept must be True or False, got 'no'"),
        ({"normalize": None}, TypeError, "normalize must be True or False, got None"),
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
