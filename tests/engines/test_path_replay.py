"""A solved path as an engine, and the common activations of its steps."""

import numpy as np
import pytest

import fastntk
from fastntk import losses, optimizers
from fastntk.engines.dual import DualEngine
from fastntk.engines.motion import Motion
from fastntk.engines.path import PathEngine, PathProblem, counts_of, replay, rounds, solution, solve
from fastntk.reference.path import following_counts, residual_path


def solved(n, d, m, steps, lr, optimizer="gd", uniform=True):
    X, y = fastntk.datasets.sphere(n, d, seed=n)
    net = fastntk.TwoLayerReLU.init(d, m, seed=m, dtype="float64")
    if not uniform:
        net = fastntk.TwoLayerReLU(net.W, net.a * np.linspace(0.1, 2.0, m))
    problem = PathProblem(
        X, y, losses.Squared(), optimizers.resolve(optimizer), lr, steps, net.a, lambda i, j: net.W[i:j]
    )  # fmt: skip
    return solve(problem), net, X, y


@pytest.mark.parametrize("most", [2, 12])
@pytest.mark.parametrize("optimizer", ["gd", "nesterov"])
def test_replay_is_the_dual_engine(optimizer, most, monkeypatch):
    monkeypatch.setattr(rounds, "MOST_ROUNDS", most)
    path, net, X, y = solved(33, 20, 130, 12, 0.3, optimizer)
    replay = PathEngine(net, path)
    dual = DualEngine(X, net, Motion(optimizer=optimizers.resolve(optimizer)))
    for step in range(13):
        np.testing.assert_allclose(replay.u, dual.u, atol=1e-11)
        assert replay.flip_fraction() == dual.flip_fraction()
        assert replay.drift() == pytest.approx(dual.drift(), rel=1e-9)
        np.testing.assert_allclose(replay.drifts(), dual.drifts(), atol=1e-10)
        if step % 3 == 0:
            np.testing.assert_array_equal(replay.masks.bits, dual.masks.bits)
        if step < 12:
            for engine in (replay, dual):
                engine.step(engine.u - y, 0.3)
    np.testing.assert_array_equal(replay.initial_masks.bits, dual.initial_masks.bits)
    ours, theirs = np.empty_like(net.W), np.empty_like(net.W)
    replay.write_weights(ours)
    dual.write_weights(theirs)
    np.testing.assert_allclose(ours, theirs, atol=1e-11)
    facts = replay.facts()
    assert sum(facts["steps"]) == 12
    assert sum(facts["events"]) > 0


def test_changes_are_summed_once_for_all_weights(monkeypatch):
    """However many blocks of neurons they are written in."""
    path, net, _, _ = solved(20, 10, 200, 5, 0.3)
    made, change = [], solution.changed_entries
    monkeypatch.setattr(solution, "changed_entries", lambda *given: made.append(1) or change(*given))
    monkeypatch.setattr(replay, "_BLOCK", 64)
    engine = PathEngine(net, path)
    engine.go(5)
    engine.write_weights(np.empty_like(net.W))
    assert len(made) == 1


@pytest.mark.parametrize("most", [2, 12])
def test_counts_of_every_step(most, monkeypatch):
    monkeypatch.setattr(rounds, "MOST_ROUNDS", most)
    path, net, X, y = solved(40, 20, 200, 15, 0.8)
    exact = residual_path(X, y, net.W, net.a, 15, 0.8)
    assert path.flips[-1] > 100
    for counts, masks in zip(counts_of(path), exact["masks"], strict=True):
        C = counts.gram(np.ones((40, 40)), 1.0)
        np.testing.assert_array_equal(C, following_counts(exact["masks"][0], masks))


def test_weighted_counts():
    path, net, X, y = solved(17, 9, 65, 10, 0.3, uniform=False)
    exact = residual_path(X, y, net.W, net.a, 10, 0.3)
    for counts, masks in zip(counts_of(path), exact["masks"], strict=True):
        C = counts.gram(np.ones((17, 17)), 1.0)
        np.testing.assert_allclose(C, (masks * net.a**2) @ masks.T, atol=1e-11)
