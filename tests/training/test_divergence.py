"""A step size past the stable limit, and numbers that overflow: what is raised, and what it carries."""

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU
from fastntk.engines.choice import ENGINES


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence(dtype, name):
    # Up to twice the limit a network of finite width escapes to where its kernel is smaller instead of exploding.
    X, y = fastntk.datasets.sphere(40, 30, seed=0)
    net = TwoLayerReLU.init(30, 5000, seed=0, dtype=dtype)
    limit = 2 / np.linalg.eigvalsh(fastntk.gram(X, net.W))[-1]
    with pytest.raises(fastntk.DivergenceError, match="the largest stable step is about") as caught:
        fastntk.train(X, y, net=net, steps=3000, lr=4 * limit, engine=name, metrics="all")
    error = caught.value
    assert error.largest_stable_step == pytest.approx(limit, rel=1e-3)
    assert f"{error.largest_stable_step:.3g}" in str(error)
    assert f"step {error.step} " in str(error)
    run = error.run
    assert run.steps.tolist() == list(range(error.step + 1))
    assert run.loss[-1] > 1e3 * run.loss[0]
    assert run.net is None
    assert np.isfinite(run.loss[:-1]).all()
    assert np.isfinite(run.lambda_min[:-1]).all()
    below = fastntk.train(X, y, net=net, steps=200, lr=0.9 * error.largest_stable_step, engine=name)
    assert below.loss[-1] < 1e-3 * below.loss[0]


@pytest.mark.parametrize("name", [*ENGINES, "path"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lr", [1e5, 1e35, 1e300])
def test_overflow_is_a_divergence(lr, dtype, name):
    """No warning, no NaN in what was logged before, whatever overflows on the way."""
    X, y = fastntk.datasets.sphere(5, 3, seed=0)
    with pytest.raises(fastntk.DivergenceError) as caught:
        fastntk.train(X, y, width=20, lr=lr, dtype=dtype, engine=name)
    assert caught.value.step == 1
    assert np.isfinite(caught.value.run.loss[0])
    assert caught.value.run.flips[0] == 0
    assert np.isnan(caught.value.run.flips[1])


def test_an_infinite_first_loss_is_no_fault_of_the_step():
    with pytest.raises(ValueError, match="the loss of the initial network within the range of float64"):
        fastntk.train([[1.0]], [1e200], width=3, dtype="float64")


def test_large_labels_do_not_diverge():
    run = fastntk.train([[1.0]], [1e18], width=300, steps=50, lr=1.0)
    assert run.loss[-1] < 1e-6 * run.loss[0]
