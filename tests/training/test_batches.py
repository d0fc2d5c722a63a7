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
