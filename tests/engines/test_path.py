"""The path engine against gradient descent step by step: the same losses, pattern changes, drifts and weights."""

import copy
import dataclasses

import numpy as np
import pytest

import fastntk
from fastntk import losses, optimizers
from fastntk.engines.path import (
    PathProblem,
    candidates,
    displaced,
    momentum,
    part,
    rounds,
    solve,
    start,
    sweeps,
    teams,
)
from fastntk.engines.path.coefficients import pattern
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
    np.testing.assert_allclose(path.weights(steps)(0, len(W)), log["W"], atol=1e-11)
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
    for blocks in (displaced, momentum):
        monkeypatch.setattr(blocks, "_BLOCK", 64)
    X, y = samples(30, 12)
    path = compare(X, y, *network(12, 200), 24, 0.2, optimizer=optimizer)
    assert len(path.windows) > 4


def test_a_round_that_is_not_proven_is_not_the_last(monkeypatch):
    X, y = samples(30, 12)
    W, a = network(12, 200)
    enough, follow, seen = solved(X, y, W, a, 10, 0.1).logs[0].found["rounds"], teams.Team.follow, []

    def doubted(self, *asked):
        seen.append(follow(self, *asked))
        return dataclasses.replace(seen[-1], proven=len(seen) > enough)

    monkeypatch.setattr(teams.Team, "follow", doubted)
    assert solved(X, y, W, a, 10, 0.1).logs[0].found["rounds"] == enough + 1


def test_entries_that_were_not_kept_are_found(monkeypatch):
    """A first guess that is far too small is noticed, and the pass repeated."""
    monkeypatch.setattr(start, "_DEVIATIONS", 1e-3)
    X, y = samples(30, 12)
    compare(X, y, *network(12, 500), 20, 0.2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [40, -50])
def test_units_do_not_matter(power, dtype):
    """Longer rows, shorter weights and steps to match, all by powers of two: the same bits."""
    X, y = samples(30, 12)
    (W, a), unit = network(12, 200, dtype), 2.0**power
    one = solved(X, y, W, a, 15, 0.3, optimizer="nesterov")
    other = solved(X * unit, y, (W / unit).astype(dtype), a, 15, 0.3 / unit**2, optimizer="nesterov")
    assert one.flips[-1] > 20
    assert one.logs[0].found == other.logs[0].found | {"rounding": one.logs[0].found["rounding"]}
    for name in ("loss", "flips"):
        np.testing.assert_array_equal(getattr(other, name), getattr(one, name))
    np.testing.assert_array_equal(other.drift * unit, one.drift)


def test_neurons_of_hardly_any_weight():
    """Entries at zero of a neuron whose inverse weight is beyond the range of float32 still leave zero."""
    X, y = samples(20, 10)
    W, a = network(10, 40, np.float32)
    W[:4], a[:4] = 0.0, np.array([1.0, -1.0, 1.0, -1.0]) * 1e-41
    path = solved(X, y, W, a, 6, 0.3)
    rows = np.array([path.weights(step)(0, 4) for step in range(7)])
    signs = np.array([pattern(now[:4], 20) for now in path.patterns()])
    np.testing.assert_array_equal(signs, rows @ X.astype(np.float32).T >= 0.0)
    assert not signs.all()


@pytest.mark.parametrize("optimizer", ["heavy_ball", "nesterov"])
def test_signs_that_rounding_has_turned_keep_their_speed(optimizer, monkeypatch):
    """A window may begin with another sign than the last one ended with, though the entry is not near zero."""
    X, y = samples(30, 12)
    W, a = network(12, 200)
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 2)
    begin, checked = part.Part.begin, []

    def turned(self, reach, scale):
        if self._before is not None and not checked:
            before, keys = copy.copy(self._before), self._before.keys
            key = next(
                key for key in range(30 * 200) if key not in keys and abs(X[key % 30] @ W[key // 30]) > 2.0
            )
            before._rows = before._rows.copy()
            before._rows[key // 30, key % 30 // 8] ^= 1 << (key % 30 % 8)
            start, moving = begin(self.now(_before=before), reach, scale)._begun
            checked.append(key)
            assert key in moving.keys
            assert np.isin(moving.keys, start.kept.keys(30)).all()
        return begin(self, reach, scale)

    monkeypatch.setattr(part.Part, "begin", turned)
    compare(X, y, W, a, 24, 0.2, optimizer=optimizer)
    assert checked


def test_patterns_of_every_step():
    X, y = samples(40, 20)
    W, a = network(20, 200)
    path = compare(X, y, W, a, 30, 0.8)
    exact = residual_path(X, y, W, a, 30, 0.8)
    for rows, masks in zip(path.patterns(), exact["masks"], strict=True):
        np.testing.assert_array_equal(np.unpackbits(rows, axis=1, bitorder="little", count=40).T, masks)


@pytest.mark.parametrize("optimizer", ["gd", "heavy_ball", "nesterov"])
def test_drifts_that_one_direction_tells_little_of(optimizer, monkeypatch):
    """The neuron that moves most is among those that are looked at, however little the knots know."""
    monkeypatch.setattr(candidates, "_KNOTS", 1)
    X, y = samples(40, 20)
    compare(X, y, *network(20, 300), 30, 0.1, optimizer=optimizer)


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
    np.testing.assert_array_equal(streamed.weights(10)(4000, 4100), held.weights(10)(4000, 4100))


def test_the_rest_of_the_entries_is_proven_not_to_change():
    """Every change of exact descent is of a candidate, and few entries are candidates."""
    X, y = samples(60, 60)
    W, a = network(60, 20000)
    path = compare(X, y, W, a, 20, 0.1)
    assert path.logs[0].found["candidates"] < 0.1 * 60 * 20000
