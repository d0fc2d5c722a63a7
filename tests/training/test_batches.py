"""Mini-batches: every sample once an epoch, gradients scaled, the loss of all samples."""

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU, reference
from fastntk.engines import ENGINES
from fastntk.training.batches import Batches


@pytest.mark.parametrize(("n", "size"), [(1, 1), (7, 3), (64, 1), (65, 64), (6, 2)])
def test_every_sample_is_seen_once_an_epoch(n, size, rng):
    batches, e = Batches(n, size, 0), rng.standard_normal(n)
    steps = -(-n // size)
    orders = []
    for _ in range(3):
        seen = np.zeros(n)
        for step in range(steps):
            estimate = batches(e)
            chosen = np.flatnonzero(estimate)
            count = min(size, n - step * size)
            assert len(chosen) == count
            np.testing.assert_allclose(estimate[chosen], e[chosen] * n / count)
            seen[chosen] += 1
            orders.append(tuple(chosen))
        assert (seen == 1).all()
    if n == 64:
        assert orders[:steps] != orders[steps : 2 * steps]  # a new order in every epoch


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("layers", ["first", "both"])
def test_training_is_that_of_the_batches(layers, name, problem):
    p = problem(13, 5, 40)
    run = fastntk.train(
        p.X,
        p.y,
        net=TwoLayerReLU(p.W, p.a),
        steps=9,
        lr=0.05,
        seed=3,
        batch_size=4,
        layers=layers,
        engine=name,
    )
    W, a, batches = p.W, p.a, Batches(13, 4, 3)
    for k in range(10):
        u = reference.forward(p.X, W, a)
        assert run.loss[k] == pytest.approx(reference.loss(u, p.y), rel=1e-9)
        e = batches(u - p.y)
        Z = p.X @ W.T
        gradient = (a / np.sqrt(40))[:, None] * ((Z >= 0).T @ (e[:, None] * p.X))
        a = a - 0.05 * (e @ np.maximum(Z, 0)) / np.sqrt(40) * (layers == "both") * (k < 9)
        W = W - 0.05 * gradient * (k < 9)
    np.testing.assert_allclose(run.net.W, W, rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.net.a, a, rtol=0, atol=1e-12)
    assert (run.provenance["batch_size"], run.provenance["seed"]) == (4, 3)


def test_seeds_and_whole_batches():
    X, y = fastntk.datasets.sphere(20, 10, seed=0)
    net = TwoLayerReLU.init(10, 30)
    one, two, other = (fastntk.train(X, y, net=net, steps=5, batch_size=7, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.loss, two.loss)
    assert not np.array_equal(one.loss, other.loss)
    whole, plain = (fastntk.train(X, y, net=net, steps=5, batch_size=size) for size in (20, None))
    assert np.array_equal(whole.loss, plain.loss)


def test_sweeps_pass_the_size_on(tmp_path):
    X, y = fastntk.datasets.sphere(8, 4, seed=0)
    made = fastntk.sweep(X, y, widths=[5], steps=3, batch_size=3, out=tmp_path)
    assert np.array_equal(made.runs[0].loss, fastntk.train(X, y, width=5, steps=3, batch_size=3).loss)
    with pytest.raises(ValueError, match="batch_size=3, but this sweep has batch_size=4"):
        fastntk.sweep(X, y, widths=[5], steps=3, batch_size=4, out=tmp_path)


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, ValueError, "batch_size must be at least 1, got 0"),
        (4, ValueError, r"batch_size must be at most the number of samples \(3\), got 4"),
        (1.5, TypeError, "batch_size must be an integer, got 1.5"),
    ],
)
def test_bad_sizes(size, error, message):
    with pytest.raises(error, match=message):
        fastntk.train(np.eye(3), np.ones(3), width=2, batch_size=size)
    with pytest.raises(error, match=message):
        fastntk.sweep(np.eye(3), np.ones(3), [2], batch_size=size)
