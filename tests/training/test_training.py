"""train: the oracles of the theory, what is logged when, and what is refused."""

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU
from fastntk.engines.choice import ENGINES

ALL = (*ENGINES, "path")
SERIES = ("loss", "flips", "drift", "gram_change", "gram_limit_distance", "lambda_min")
BOUNDS = ("lambda_min_lower", "lambda_min_residual")


@pytest.mark.parametrize("name", ENGINES)
def test_closed_form_without_flips(name, rng):
    """u(k) - y = (I - lr H)^k (u(0) - y): weights so large that no sign can change, in pairs that cancel."""
    X, y = fastntk.datasets.sphere(15, 6, seed=1)
    half = 1e3 * rng.standard_normal((40, 6))
    net = TwoLayerReLU(np.concatenate([half, half]), np.repeat([1.0, -1.0], 40))
    H = fastntk.gram(X, net.W)
    lr = 1.0 / np.linalg.eigvalsh(H)[-1]
    run = fastntk.train(X, y, net=net, steps=30, lr=lr, engine=name, metrics="all")
    assert not run.flips.any()
    assert not run.gram_change.any()
    e = -y
    for k in range(30):
        assert run.loss[k] == pytest.approx(0.5 * e @ e, rel=1e-9)
        e = e - lr * (H @ e)
    np.testing.assert_allclose(run.net(X) - y, e, rtol=0, atol=1e-9)


def test_loss_contracts_as_the_theorem_says():
    """Theorem 4.1 of Du et al.: |u(k) - y|^2 <= (1 - lr lambda_0 / 2)^k |u(0) - y|^2 for wide networks."""
    X, y = fastntk.datasets.sphere(20, 20, seed=0)
    lambda_0 = np.linalg.eigvalsh(fastntk.limit_gram(X))[0]
    run = fastntk.train(X, y, width=20000, steps=60, lr=0.5)
    assert (run.loss <= run.loss[0] * (1 - 0.5 * lambda_0 / 2) ** run.steps).all()


def test_drift_and_flips_fall_like_one_over_sqrt_m():
    X, y = fastntk.datasets.sphere(30, 20, seed=0)
    drift, flips = [], []
    for width in (1000, 4000, 16000):
        runs = [fastntk.train(X, y, width=width, steps=40, lr=0.5, seed=seed) for seed in range(3)]
        drift.append(np.mean([run.drift[-1] for run in runs]))
        flips.append(np.mean([run.flips[-1] for run in runs]))
    for series in (drift, flips):
        for wide, narrow in zip(series[1:], series[:-1], strict=True):
            assert 1.6 <= narrow / wide <= 2.5


# What is logged when.


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        (0, 1, [0]),
        (1, 1, [0, 1]),
        (3, 1, [0, 1, 2, 3]),
        (10, 4, [0, 4, 8, 10]),
        (8, 4, [0, 4, 8]),
        (3, 100, [0, 3]),
        (0, 7, [0]),
    ],
)
@pytest.mark.parametrize("name", ENGINES)
def test_every(steps, every, expected, name):
    X, y = fastntk.datasets.sphere(10, 5)
    run = fastntk.train(X, y, width=30, steps=steps, every=every, engine=name, metrics="all")
    assert run.steps.tolist() == expected
    assert run.steps.dtype == np.int64
    dense = fastntk.train(X, y, width=30, steps=steps, engine=name, metrics="all")
    for series in SERIES[:3]:
        assert np.array_equal(getattr(run, series), getattr(dense, series)[expected])
    np.testing.assert_allclose(run.lambda_min, dense.lambda_min[expected], rtol=0, atol=1e-6)
    assert np.array_equal(run.net.W, dense.net.W)


@pytest.mark.parametrize(
    ("metrics", "logged"),
    [
        ("loss", {"loss"}),
        ("drift", {"loss", "drift"}),
        ((), {"loss"}),
        (["flips", "flips"], {"loss", "flips"}),
        (("gram",), {"loss", "gram_change", "gram_limit_distance"}),
        ({"lambda_min"}, {"loss", "lambda_min", *BOUNDS}),
        ("all", {*SERIES, *BOUNDS}),
    ],
)
def test_metrics(metrics, logged):
    X, y = fastntk.datasets.sphere(10, 5)
    run = fastntk.train(X, y, width=30, steps=2, metrics=metrics)
    present = {name for name in (*SERIES, *BOUNDS) if getattr(run, name) is not None}
    assert present == logged
    assert all(getattr(run, name).shape == (3,) for name in logged)


def test_the_default_logs_loss_flips_drift():
    run = fastntk.train([[1.0]], [1.0], width=3, steps=1)
    assert run.lambda_min is None
    assert run.flips[0] == run.drift[0] == 0
    assert (run.width, run.lr, run.seed) == (3, 0.1, 0)


def test_same_seed_same_run():
    X, y = fastntk.datasets.sphere(30, 20)
    one, two, other = (fastntk.train(X, y, width=100, steps=5, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(one.loss, two.loss)
    assert np.array_equal(one.net.W, two.net.W)
    assert not np.array_equal(one.loss, other.loss)


@pytest.mark.parametrize("name", ALL)
def test_progress_is_called_after_each_step_and_may_interrupt(name):
    seen = []
    settings = {"width": 3, "steps": 4, "engine": name}
    fastntk.train([[1.0]], [1.0], progress=lambda step, steps: seen.append((step, steps)), **settings)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def interrupt(step, steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastntk.train([[1.0]], [1.0], progress=interrupt, **settings)


def test_inputs_are_left_alone(problem):
    p = problem(20, 6, 50)
    X, y = np.asfortranarray(p.X), p.y[::-1]
    copies = X.copy(), y.copy(), p.W.copy(), p.a.copy()
    net = TwoLayerReLU(p.W, p.a)
    for array in (X, y, net.W, net.a):
        array.setflags(write=False)
    for name in ENGINES:
        run = fastntk.train(X, y, net=net, steps=5, engine=name, metrics="all")
        assert not np.array_equal(run.net.W, net.W)
    for array, copy in zip((X, y, net.W, net.a), copies, strict=True):
        assert np.array_equal(array, copy)
    again = fastntk.train(X.tolist(), y.tolist(), net=net, steps=5, engine=name)
    assert np.array_equal(again.loss, run.loss)


@pytest.mark.parametrize("name", ALL)
def test_nothing_to_learn(name):
    """Zero samples: all neurons active, outputs 0, gradients 0."""
    run = fastntk.train(np.zeros((5, 3)), np.ones(5), width=10, steps=3, engine=name, metrics="all")
    assert run.loss.tolist() == [2.5] * 4
    assert not run.drift.any()
    assert not run.flips.any()


@pytest.mark.parametrize("layers", ["first", "second", "both"])
@pytest.mark.parametrize("engine", ["dual", "primal"])
@pytest.mark.parametrize("dynamics", [{"steps": 0}, {"steps": 2}, {"dynamics": "flow", "t_final": 2.0}])
def test_the_network_of_a_run_shares_no_memory_with_the_one_it_started_from(layers, engine, dynamics):
    X, y = fastntk.datasets.sphere(6, 4)
    net = TwoLayerReLU.init(4, 5)
    run = fastntk.train(X, y, net=net, layers=layers, engine=engine, **dynamics)
    for found in (run.net.W, run.net.a):
        for given in (net.W, net.a):
            assert not np.shares_memory(found, given)
