"""Training of both layers and of the second alone: gradients, kernel, drift, and the linear model that is exact."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import fastntk
from fastntk import TwoLayerReLU, reference
from fastntk.engines.choice import ENGINES

LAYERS = ("second", "both")


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_a_step_follows_finite_differences_in_both_layers(loss, name, problem):
    p = problem(7, 4, 9)
    lr, net = 1e-3, TwoLayerReLU(p.W, p.a)

    def value(weights):
        u = reference.forward(p.X, weights[:36].reshape(9, 4), weights[36:])
        return reference.loss_and_derivative(u, p.y, loss)[0]

    gradient = approx_fprime(np.concatenate([p.W.ravel(), p.a]), value, 1e-7)
    run = fastntk.train(p.X, p.y, net=net, steps=1, lr=lr, layers="both", loss=loss, engine=name)
    np.testing.assert_allclose((p.W - run.net.W).ravel() / lr, gradient[:36], rtol=0, atol=1e-5)
    np.testing.assert_allclose((p.a - run.net.a) / lr, gradient[36:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ENGINES)
def test_the_second_layer_alone_is_a_linear_model(name):
    """u(k) - y = (I - lr H)^k (u(0) - y) exactly: the features do not move."""
    X, y = fastntk.datasets.sphere(15, 6, seed=1)
    net = TwoLayerReLU.init(6, 90, seed=0, dtype="float64")
    H = fastntk.gram(X, net.W, layers="second")
    lr = 1.0 / np.linalg.eigvalsh(H)[-1]
    run = fastntk.train(X, y, net=net, steps=30, lr=lr, engine=name, layers="second", metrics="all")
    assert not run.flips.any()
    assert not run.drift.any()
    assert not run.gram_change.any()
    assert np.array_equal(run.net.W, net.W)
    e = net(X) - y
    for k in range(31):
        assert run.loss[k] == pytest.approx(0.5 * e @ e, rel=1e-9)
        e = e - lr * (H @ e)


def test_drift_of_the_second_layer_falls_like_one_over_sqrt_m():
    X, y = fastntk.datasets.sphere(20, 10, seed=0)
    options = {"steps": 30, "lr": 0.05, "layers": "both", "paired": True}
    narrow, wide = (
        np.mean([fastntk.train(X, y, width=width, seed=seed, **options).drift_a[-1] for seed in range(3)])
        for width in (1000, 16000)
    )
    assert 2.0 <= narrow / wide <= 5.0


@pytest.mark.parametrize("layers", LAYERS)
def test_divergence_names_the_step_of_the_kernel_that_is_trained(layers):
    X, y = fastntk.datasets.sphere(20, 10, seed=0)
    net = TwoLayerReLU.init(10, 2000, seed=0)
    limit = 2 / np.linalg.eigvalsh(reference.tangent_gram(X, net.W, net.a, layers=layers))[-1]
    with pytest.raises(fastntk.DivergenceError) as caught:
        fastntk.train(X, y, net=net, steps=3000, lr=30 * limit, layers=layers)
    assert caught.value.largest_stable_step == pytest.approx(limit, rel=1e-3)


def test_a_run_of_both_layers_comes_back_from_its_file(tmp_path):
    X, y = fastntk.datasets.sphere(9, 4, seed=0)
    run = fastntk.train(
        X, y, width=20, steps=3, layers="both", optimizer="nesterov", batch_size=4, metrics="all"
    )
    back = fastntk.load(run.save(tmp_path / "run.npz"))
    assert np.array_equal(back.drift_a, run.drift_a)
    assert np.array_equal(back.net.a, run.net.a)
    assert np.array_equal(back.gram(), run.gram())
    assert back.provenance == run.provenance
    assert (back.provenance["layers"], back.provenance["batch_size"]) == ("both", 4)


def test_only_runs_that_move_the_second_layer_log_its_drift():
    assert fastntk.train([[1.0]], [1.0], width=3, steps=1).drift_a is None
    assert fastntk.train([[1.0]], [1.0], width=3, steps=1, layers="both", metrics="flips").drift_a is None
