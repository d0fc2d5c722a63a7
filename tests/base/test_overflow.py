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
        (
            lambda: fastntk.activation_masks(1e180 * X, F8),
            "X and W must keep their products.*range of float64",
        ),
        (lambda: fastntk.activation_masks(X, -F4), "X and W must keep their products.*range of float32"),
        (lambda: fastntk.TwoLayerReLU(F4, a)(X), "X and W must keep their products.*range of float32"),
        (lambda: fastntk.TwoLayerReLU(-F4, a)(np.abs(X)), "X and W must keep their products"),
        (lambda: fastntk.TwoLayerReLU(F4 / 1e20, a * 1e30)(X), "the outputs, within the range of float32"),
        (lambda: fastntk.loss_gradient(X, np.ones(3), F4, a), "X and W must keep their products"),
        (
            lambda: fastntk.loss_gradient(X, 1e30 * np.ones(3), F4 / 1e20, a),
            "must keep the gradient.*float32",
        ),
        (lambda: fastntk.gram(X, F4), "X and W must keep their products.*range of float32"),
        (lambda: fastntk.gram(X, F4 / 1e20, dtype="float32"), "from the rows of X and a, must be.*float32"),
        (
            lambda: fastntk.gram(1e180 * X, F8 / 1e200),
            "X must have rows whose squared length is finite in float64",
        ),
        (lambda: fastntk.gram(X, F8 / 1e200, 1e160 * a), "from the rows of X and a, must be.*float64"),
        (lambda: fastntk.gram(X / 1e20, F8 / 1e200, Z=1e180 * X), "from the rows of Z and a, must be"),
        (lambda: fastntk.gram(X, F4 / 1e20, layers="second"), "X and W must keep the sums over the neurons"),
        (lambda: fastntk.gram(X, width=5, layers="second"), "X and W must keep the sums over the neurons"),
        (
            lambda: fastntk.gram(X, F4.astype(float), layers="second", dtype="float32"),
            "must keep the sums.*float32",
        ),
        (lambda: fastntk.gram(X, F4 / 1e20, layers="both"), "X and W must keep the sums over the neurons"),
        (lambda: fastntk.gram_interval(1e180 * X, F8 / 1e200), "from the rows of X"),
        (
            lambda: fastntk.TwoLayerReLU.init(3, 4, kappa=1e39),
            "kappa must keep the weights.*float32, got 1e.39",
        ),
        (
            lambda: fastntk.TwoLayerReLU.init(3, 4, kappa=1e-50),
            "kappa must keep the weights.*float32, got 1e-50",
        ),
        (lambda: fastntk.TwoLayerReLU.init(3, 4, kappa=1e308, dtype="float64"), "kappa must.*float64"),
        (lambda: fastntk.train(X / 1e20, np.ones(3), width=8, kappa=1e39), "kappa must keep the weights"),
        (
            lambda: fastntk.train(X / 1e10, np.ones(3), net=fastntk.TwoLayerReLU(F4 * 1e9, a)),
            "X and W must keep",
        ),
    ],
)
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


def test_a_run_whose_kernel_underflows_diverges_by_name():
    with pytest.raises(
        fastntk.DivergenceError, match=r"the largest stable step is about .* = inf$"
    ) as caught:
        fastntk.train([[1e-200, 2e-200], [1e-200, 0.0]], [1e300, -2e300], width=4, steps=2, dtype="float64")
    assert caught.value.largest_stable_step == float("inf")


def test_second_layers_whose_squares_overflow_are_named():
    for weights in ([1e300, 1e300], [1e300, 2e300]):
        with pytest.raises(ValueError, match="the rows of X and a, must be within the range of float64"):
            fastntk.gram([[1.0]], [[1.0], [2.0]], weights, layers="both")
