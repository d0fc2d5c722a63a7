"""Numbers too large for their precision are a named error, never a silent infinity."""

import numpy as np
import pytest

import fastntk

X = np.array([[1e20, 2e20], [1e20, -2e20], [-3e20, 1e20]])
F4 = np.full((5, 2), 1e20, np.float32)
F8 = np.full((5, 2), 1e200)
a = np.ones(5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fastntk.activation_masks(X, F4), "X and W must keep their products.*range of float32"),
        (lambda: fastntk.activation_masks(1e180 * X, F8), "X and W must keep their products.*range of float64"),
        (lambda: fastntk.activation_masks(X, -F4), "X and W must keep their products.*range of float32"),
        (lambda: fastntk.TwoLayerReLU(F4, a)(X), "X and W must keep their products.*range of float32"),
        (lambda: fastntk.TwoLayerReLU(-F4, a)(np.abs(X)), "X and W must keep their products"),
        (lambda: fastntk.TwoLayerReLU(F4 / 1e20, a * 1e30)(X), "the outputs, within the range of float32"),
        (lambda: fastntk.loss_gradient(X, np.ones(3), F4, a), "X and W must keep their products"),
        (lambda: fastntk.loss_gradient(X, 1e30 * np.ones(3), F4 / 1e20, a), "must keep the gradient.*float32"),
        (lambda: fastntk.gram(X, F4), "X and W must keep their products.*range of float32"),
        (lambda: fastntk.gram(X, F4 / 1e20, dtype="float32"), "from the rows of X and a, must be.*float32"),
        (lambda: fastntk.gram(1e180 * X, F8 / 1e200), "X must have rows whose squared length is finite in float64"),
        (lambda: fastntk.gram(X, F8 / 1e200, 1e160 * a), "from the rows of X and a, must be.*float64"),
        (lambda: fastntk.gram(X / 1e20, F8 / 1e200, Z=1e180 * X), "from the rows of Z and a, must be"),
        (lambda: fastntk.gram(X, F4 / 1e20, layers="second"), "X and W must keep the sums over the neurons"),
        (lambda: fastntk.gram(X, width=5, layers="second"), "X and W must keep the sums over the neurons"),
        (lambda: fastntk.gram(X, F4.astype(float), layers="second", dtype="float32"), "must keep the sums.*float32"),
        (lambda: fastntk.gram(X, F4 / 1e20, layers="both"), "X and W must keep the sums over the neurons"),
        (lambda: fastntk.gram_interval(1e180 * X, F8 / 1e200), "from the rows of X"),
        (lambda: fastntk.TwoLayerReLU.init(3, 4, kappa=1e39), "kappa must keep the weights.*float32, got 1e.39"),
        (lambda: fastntk.TwoLayerReLU.init(3, 4, kappa=1e-50), "kappa must keep the weights.*float32, got 1e-50"),
        (lambda: fastntk.TwoLayerReLU.init(3, 4, kappa=1e308, dtype="float64"), "kappa must.*float64"),
        (lambda: fastntk.train(X / 1e20, np.ones(3), width=8, kappa=1e39), "kappa must keep the weights"),
        (lambda: fastntk.train(X / 1e10, np.ones(3), net=fastntk.TwoLayerReLU(F4 * 1e9, a)), "X and W must keep"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_overflow_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("engine", ["dual", "primal"])
@pytest.mark.parametrize("layers", ["first", "second", "both"])
def test_training_does_not_blame_the_step(engine, layers):
    net = fastntk.TwoLayerReLU(F4 * 1e9, a)
    with pytest.raises(ValueError, match="X and W must keep their products"):
        fastntk.train(X / 1e10, np.ones(3), net=net, engine=engine, layers=layers)


def test_large_numbers_that_fit_are_right():
    masks = fastntk.activation_masks(X, F4 / 1e3)
    assert np.array_equal(masks.to_dense(), X @ (F4 / 1e3).T.astype(float) >= 0)
    H = fastntk.gram(X / 1e2, F4 / 1e20, layers="second")
    Z = np.maximum(X / 1e2 @ (F4 / 1e20).T.astype(float), 0)
    np.testing.assert_allclose(H, Z @ Z.T / 5, rtol=1e-5)


DATA = X / 1e20, np.array([1.0, -2.0, 0.5])
BIG = {"width": 8, "steps": 2, "lr": 1e-3}


@pytest.mark.parametrize(
    ("samples", "labels", "options", "message"),
    [
        (1.0, 1e30, {}, "X and y must keep the change of the weights within the range of float32.*dtype='float64'"),
        (1.0, 1e30, {"engine": "primal"}, "the change of the weights.*largest entries are 3 and 2e.30"),
        (1.0, 1e30, {"engine": "path"}, "the change of the weights within the range of float32"),
        (1.0, 1e30, {"metrics": "loss"}, "the change of the weights"),
        (1.0, 1e30, {"dynamics": "flow", "t_final": 1e-3, "steps": 100, "lr": 0.1}, "the change of the weights"),
        (1.0, 1e160, {"dtype": "float64"}, "the loss of the initial network within the range of float64"),
        (1.0, 1e160, {"dtype": "float64", "depth": 2}, "the loss of the initial network"),
        (1.0, 1e38, {}, "the outputs of step 1 within the range of float32"),
        (1e-200, 1e300, {"dtype": "float64"}, "the loss of the initial network"),
        (1e150, 1.0, {"dtype": "float64"}, "1e.12 times the squared norms of the rows of X must be"),
        (1e18, 1.0, {"depth": 3, "scale": 1e8}, "X and W must keep all layers, and the outputs, within.*float32"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_a_run_beyond_its_precision_is_named(samples, labels, options, message):
    with pytest.raises(ValueError, match=message):
        fastntk.train(samples * DATA[0], labels * DATA[1], **{**BIG, **options})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda X, y: fastntk.predict(1e-3 * X, 1e38 * y, width=8),
            "lr, times, X and y must keep the prediction.*float32",
        ),
        (
            lambda X, y: fastntk.predict(X, y, width=8, steps=9000, lr=50.0),
            "descent with this kernel is stable below lr",
        ),
        (
            lambda X, y: fastntk.gram(1e30 * X, net=fastntk.DeepReLU.init(2, 8, 2)),
            "X and the weights of net must keep",
        ),
        (lambda X, y: fastntk.DeepReLU.init(2, 8, 2, scale=1e30)(X), "X and W must keep all layers"),
        (
            lambda X, y: fastntk.gram(1e154 * np.eye(2), np.ones((9, 2))),
            "the sums of the diagonal, from the rows of X and a,",
        ),
        (
            lambda X, y: fastntk.kernel_regression(1e-9 * np.eye(3), 1e300 * y),
            "y and H must keep the coefficients",
        ),
        (
            lambda X, y: fastntk.generalization_complexity(1e-20 * np.eye(3), 1e300 * y),
            r"y and H must keep the complexity within the range of float64, got about 10\^310",
        ),
    ],
)
def test_results_beyond_their_precision_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*DATA)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("power", [-1000, -530, 500, 1000])
def test_regression_at_every_scale_is_that_of_moderate_numbers(power):
    H = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 1.0]])
    y = np.array([1.0, -2.0, 0.5])
    found = fastntk.kernel_regression(np.ldexp(H, power), np.ldexp(y, power), ridge=np.ldexp(0.25, power))
    np.testing.assert_allclose(found.coefficients, np.linalg.solve(H + 0.25 * np.eye(3), y), rtol=1e-8)
    points = np.ldexp([[1.0, 0.0], [0.6, 0.8], [-1.0, 2.0]], power // 4)
    operator = fastntk.gram_operator(points)
    found = fastntk.generalization_complexity(operator, y)
    whole = fastntk.generalization_complexity(fastntk.limit_gram(points), y)
    assert 0.0 < found.lower <= whole.upper
    np.testing.assert_allclose(found, whole, rtol=1e-6)


def test_a_path_that_nothing_bounds_goes_to_another_engine():
    """No sample moves here, and what is allowed to them overflowed: this did not end."""
    run = fastntk.train(np.zeros((3, 2)), 1e80 * DATA[1], engine="path", dtype="float64", **BIG)
    assert run.provenance["engine"]["name"] == "dual"
    assert "gave up" in run.provenance["engine"]["reason"]
    np.testing.assert_array_equal(run.drift, 0.0)


def test_second_layers_whose_squares_overflow_are_named():
    for weights in ([1e300, 1e300], [1e300, 2e300]):
        with pytest.raises(ValueError, match="the rows of X and a, must be within the range of float64"):
            fastntk.gram([[1.0]], [[1.0], [2.0]], weights, layers="both")
