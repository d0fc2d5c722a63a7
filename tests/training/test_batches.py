"""Mini-batches: every sample once an epoch, seeds, and what they refuse."""

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU
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
