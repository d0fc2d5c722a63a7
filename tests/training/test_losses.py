"""Losses: their derivatives, their divergence, and what they refuse."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import fastntk
from fastntk import TwoLayerReLU, losses, reference
from fastntk.engines.choice import ENGINES
from fastntk.losses import LOSSES, Huber, Logistic, Squared

NAMES = tuple(LOSSES)


def labels_for(name, y):
    return np.where(y < 0, -1.0, 1.0) if name == "logistic" else y


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_the_value(name, rng):
    u, y = 2 * rng.standard_normal(9), labels_for(name, rng.standard_normal(9))
    loss = losses.resolve(name)
    value, e = loss.evaluate(u, y)
    expected, derivative = reference.loss_and_derivative(u, y, name)
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(e, derivative, rtol=1e-13)
    numeric = approx_fprime(u, lambda v: loss.evaluate(v, y)[0], 1e-6)
    np.testing.assert_allclose(e, numeric, rtol=0, atol=1e-5)


def test_curvature_is_the_largest_second_derivative():
    u = np.linspace(-3.0, 3.0, 6001)
    for name in NAMES:
        e = losses.resolve(name).evaluate(u, np.ones_like(u))[1]
        assert np.diff(e).max() / 1e-3 == pytest.approx(LOSSES[name].curvature, rel=1e-6)


def test_extreme_outputs():
    u = np.array([-1e300, -800.0, 0.0, 800.0, 1e300])
    value, e = Logistic().evaluate(u, np.ones(5))
    assert value == pytest.approx(1e300)
    assert e.tolist() == [-1.0, -1.0, -0.5, 0.0, 0.0]
    value, e = Huber(0.5).evaluate(u, np.zeros(5))
    assert value == pytest.approx(1e300)
    assert e.tolist() == [-0.5, -0.5, 0.0, 0.5, 0.5]


def test_the_default_is_the_squared_loss_digit_for_digit():
    X, y = fastntk.datasets.sphere(20, 10, seed=1)
    runs = [fastntk.train(X, y, width=50, steps=5, **option) for option in ({}, {"loss": Squared()})]
    assert np.array_equal(runs[0].loss, runs[1].loss)
    assert runs[0].provenance["loss"] == {"name": "squared"}


@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")  # equal rows, on purpose
@pytest.mark.parametrize("engine", ENGINES)
def test_divergence_of_the_logistic_loss(engine):
    """Its second derivative is at most 1/4: steps four times as large are stable."""
    X, y = np.tile([[0.6, 0.8]], (3, 1)), np.array([1.0, 1.0, -1.0])  # the labels contradict each other
    net = TwoLayerReLU.init(2, 300, seed=0)
    limit = 8 / np.linalg.eigvalsh(fastntk.gram(X, net.W))[-1]
    with pytest.raises(fastntk.DivergenceError, match=r"2 / \(0\.25 lambda_max\(H\(0\)\)\) =") as caught:
        fastntk.train(X, y, net=net, lr=1e8, loss="logistic", engine=engine)
    assert caught.value.largest_stable_step == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize("delta", [0.0, -1.0, np.inf, np.nan])
def test_bad_thresholds(delta):
    with pytest.raises(ValueError, match="delta must be finite and above 0"):
        Huber(delta)
