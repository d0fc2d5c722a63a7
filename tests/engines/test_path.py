"""The path engine against gradient descent step by step: the same losses, pattern changes, drifts and weights."""

import numpy as np
import pytest

import fastntk
from fastntk import losses, optimizers
from fastntk.engines.path import PathProblem, rounds, solve, start, sweeps
from fastntk.losses import explosion
from fastntk.model.draws import Draws
from fastntk.reference import loss_and_derivative, train
from fastntk.reference.path import residual_path
from fastntk.spectra import lambda_max

DUPLICATES = "half of the rows repeated or opposite"
LENGTHS = "rows of different lengths, one of them zero"


def samples(n, d, kind=None):
    X, y = fastntk.datasets.sphere(n, d, seed=n)
    if kind is not None:
        k = n // 4
        X = np.vstack((X[: n - 2 * k], X[:k], -X[:k]))
    if kind == LENGTHS:
        X = X * np.random.default_rng(0).uniform(0.1, 3.0, (n, 1))
        X[n // 2] = 0.0
    return X, y


def network(d, m, dtype=np.float64, uniform=True):
    net = fastntk.TwoLayerReLU.init(d, m, seed=m, dtype=np.dtype(dtype).name)
    W, a = np.array(net.W), np.array(net.a)
    return W, (a if uniform else a * np.linspace(0.0, 2.0, m).astype(dtype))


def solved(X, y, W, a, steps, lr, loss="squared", optimizer="gd"):
    problem = PathProblem(
        X, y, losses.resolve(loss), optimizers.resolve(optimizer), lr, steps, a, lambda first, last: W[first:last]
    )  # fmt: skip
    return solve(problem)


def compare(X, y, W, a, steps, lr, optimizer="gd"):
    """The path, known to be that of the reference."""
    path = solved(X, y, W, a, steps, lr, optimizer=optimizer)
    assert path.steps == steps
    log = train(X, y, W, a, steps=steps, lr=lr, optimizer=optimizer)
    np.testing.assert_allclose(path.loss, log["loss"], rtol=1e-10, atol=1e-10 * log["loss"][0])
    np.testing.assert_array_equal(path.flips, np.rint(log["flips"] * len(X) * len(W)).astype(int))
    np.testing.assert_allclose(path.drift, log["drift"], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(path.weights(steps, 0, len(W)), log["W"], atol=1e-11)
    return path


@pytest.mark.parametrize("optimizer", ["gd", "nesterov"])
@pytest.mark.parametrize("kind", [DUPLICATES, LENGTHS])
def test_awkward_rows(kind, optimizer):
    X, y = samples(40, 20, kind)
    compare(X, y, *network(20, 300), 30, 0.03, optimizer=optimizer)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.05])
def test_step_sizes_near_the_largest(factor):
    """There patterns change so often that windows are needed."""
    X, y = samples(40, 20)
    lr = factor * 2.0 / float(lambda_max(fastntk.limit_gram(X)))
    path = compare(X, y, *network(20, 400), 40, lr)
    assert len(path.windows) > 1


@pytest.mark.parametrize("m", [5, 20])
def test_fewer_neurons_than_samples(m):
    X, y = samples(60, 8)
    compare(X, y, *network(8, m), 40, 0.1)


def test_more_changed_samples_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(sweeps, "_PRODUCTS", 0)
    X, y = samples(60, 8)
    path = compare(X, y, *network(8, 20), 40, 0.1)
    assert path.windows[0].solved.swept.events.total > 2 * 20


def test_entries_at_their_kink_alternate():
    """One neuron, pushed over its kink by one sample and back by another, at every step."""
    X, y = np.array([[1.0], [-1.0]]), np.array([1.0, 1.0])
    path = compare(X, y, np.array([[0.01]]), np.array([-1.0]), 12, 0.3)
    turned = path.windows[0].solved.swept.events.of().steps
    assert np.unique(turned).size > 3


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_explosion_is_found_at_the_same_step(loss):
    X, y = samples(20, 10)
    W, a = network(10, 50)
    lr = 40.0
    path = solved(X, y, W, a, 60, lr, loss)
    exact = residual_path(X, y, W, a, 60, lr, loss) if loss == "squared" else None
    if exact is None:
        assert path.steps == 60 or path.exploded
        return
    ceiling = explosion(losses.Squared(), exact["loss"][0], y)
    first = int(np.flatnonzero(exact["loss"] > ceiling)[0])
    assert path.exploded
    assert path.steps == first
    np.testing.assert_allclose(path.loss, exact["loss"][: first + 1], rtol=1e-8)


@pytest.mark.parametrize("optimizer", ["gd", "heavy_ball", "nesterov"])
def test_short_windows(optimizer, monkeypatch):
    """Whatever the windows are, the run is the same: drifts, velocities and coefficients go on through them."""
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 2)
    X, y = samples(30, 12)
    path = compare(X, y, *network(12, 200), 24, 0.2, optimizer=optimizer)
    assert len(path.windows) > 4


def test_entries_that_were_not_kept_are_found(monkeypatch):
    """A first guess that is far too small is noticed, and the pass repeated."""
    monkeypatch.setattr(start, "_DEVIATIONS", 1e-3)
    X, y = samples(30, 12)
    compare(X, y, *network(12, 500), 20, 0.2)


def test_patterns_of_every_step():
    X, y = samples(40, 20)
    W, a = network(20, 200)
    path = compare(X, y, W, a, 30, 0.8)
    exact = residual_path(X, y, W, a, 30, 0.8)
    for rows, masks in zip(path.patterns(), exact["masks"], strict=True):
        np.testing.assert_array_equal(np.unpackbits(rows, axis=1, bitorder="little", count=40).T, masks)


def test_drifts_of_all_neurons():
    X, y = samples(40, 20)
    path = compare(X, y, *network(20, 150), 20, 0.3)
    for step in (0, 7, 20):
        np.testing.assert_allclose(path.drifts(step).max(), path.drift[step], rtol=1e-12)


def test_no_step():
    X, y = samples(5, 3)
    W, a = network(3, 8)
    path = solved(X, y, W, a, 0, 0.1)
    loss, _ = loss_and_derivative(fastntk.TwoLayerReLU(W, a)(X), y)
    np.testing.assert_allclose(path.loss, [loss])
    np.testing.assert_array_equal(path.flips, [0])
    np.testing.assert_array_equal(path.drift, [0.0])


def test_drawn_neurons_are_never_held():
    """Weights that are drawn when they are asked for give the run of those in memory, to the bit."""
    X, y = samples(40, 20)
    net, draws = fastntk.TwoLayerReLU.init(20, 9000, seed=3), Draws(3)
    asked = []

    def drawn(first, last):
        asked.append(last - first)
        rows = np.empty((last - first, 20), np.float32)
        draws.weights(first, rows)
        return rows

    held = solved(X, y, net.W, net.a, 10, 0.2)
    problem = PathProblem(X, y, losses.Squared(), optimizers.GradientDescent(), 0.2, 10, net.a, drawn)
    streamed = solve(problem)
    assert max(asked) < 9000
    for name in ("loss", "flips", "drift"):
        np.testing.assert_array_equal(getattr(streamed, name), getattr(held, name))
    np.testing.assert_array_equal(streamed.weights(10, 4000, 4100), held.weights(10, 4000, 4100))


def test_the_rest_of_the_entries_is_proven_not_to_change():
    """Every change of exact descent is of a candidate, and few entries are candidates."""
    X, y = samples(60, 60)
    W, a = network(60, 20000)
    path = compare(X, y, W, a, 20, 0.1)
    assert path.logs[0].found["candidates"] < 0.1 * 60 * 20000
