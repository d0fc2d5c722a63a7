"""What is proven of a path: signs outside the doubt are exact, no entry that is not a candidate can change."""

import numpy as np
import pytest

from fastntk import losses, optimizers
from fastntk.engines.path import PathProblem, solve
from fastntk.engines.path.base import Base
from fastntk.engines.path.candidates import Field
from fastntk.engines.path.coefficients import Sparse, pattern
from fastntk.engines.path.displaced import Displaced
from fastntk.engines.path.start import begin
from fastntk.engines.path.sweeps import Sweeper
from fastntk.reference.path import residual_path

N, M, STEPS, LR = 24, 60, 20, 0.4


def posed(dtype=np.float64, n=N, m=M, steps=STEPS):
    rng = np.random.default_rng(n + m)
    X = rng.standard_normal((n, n)) / np.sqrt(n)
    W = rng.standard_normal((m, n)).astype(dtype)
    a = rng.choice([-1.0, 1.0], m).astype(dtype)
    return X, rng.standard_normal(n), W, a, steps


def problem_of(X, y, W, a, steps, optimizer="gd"):
    return PathProblem(
        X, y, losses.Squared(), optimizers.resolve(optimizer), LR, steps, a, lambda i, j: W[i:j]
    )  # fmt: skip


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("distance", [1e-4, 1e-8])
def test_an_entry_that_just_reaches_zero_or_just_does_not(side, distance):
    """One entry is placed so that exact descent brings it to a hair's breadth of zero, on either side."""
    X, y, W, a, steps = posed()
    inverse, (i, r) = np.linalg.inv(X), (3, 7)
    for _ in range(12):
        exact = residual_path(X, y, W, a, steps, LR)
        straight = exact["masks"][0, i, r]
        coefficients = LR * np.cumsum(exact["masks"][:-1, :, r] * exact["e"][:-1], axis=0)
        z = X[i] @ W[r] - a[r] / np.sqrt(M) * (coefficients @ X @ X[i])
        closest = z.min() if straight else z.max()
        W[r] -= (closest - side * distance) * inverse[:, i]
    assert closest == pytest.approx(side * distance, rel=1e-3)
    path = solve(problem_of(X, y, W, a, steps))
    for rows, masks in zip(path.patterns(), exact["masks"], strict=True):
        np.testing.assert_array_equal(pattern(rows, N).T, masks)


def swept(problem, E, e, level=1.0):
    start = begin(problem, problem.weights, np.full(problem.n, np.inf))
    field = Field(problem, start, E, np.empty(0, np.int64))
    field.level *= level
    displaced = Displaced(problem, start, field.knots, Base(start.rows, np.zeros(problem.n), Sparse.none()))
    chosen = field.chosen()
    return (
        start,
        field,
        chosen,
        Sweeper(problem, start, field, displaced)(
            problem.schedule(problem.steps), e, E, chosen, np.empty(0, problem.a.dtype), True
        ),
    )


def exact_path(problem, start, found, e):
    """Pre-activations in float64 from the signs that were found, and these signs."""
    n, m = problem.n, problem.m
    masks = [pattern(start.rows, n).T]
    listed = found.events.of()
    for step in range(1, len(e) + 1):
        now, some = masks[-1].copy(), listed.steps == step
        now[listed.samples[some], listed.neurons[some]] = listed.on[some]
        masks.append(now)
    masks = np.array(masks)
    coefficients = problem.lr * np.cumsum(masks[:-1] * e[:, :, None], axis=0)
    Z0 = start.kept.values.astype(np.float64).reshape(m, n).T
    moved = np.einsum("il,slr->sir", problem.K, coefficients) * (problem.a / np.sqrt(m)).astype(np.float64)
    return np.concatenate((Z0[None], Z0 - moved)), masks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_signs_in_doubt_are_counted_and_the_others_are_exact(dtype):
    problem = problem_of(*posed(dtype, 40, 300, 60))
    exact = residual_path(problem.X, problem.labels, problem.weights(0, 300), problem.a, 60, LR)
    e = exact["e"][:-1].astype(np.float64)
    start, _, chosen, found = swept(problem, problem.schedule(problem.steps).course(e, np.zeros(40)), e)
    Z, masks = exact_path(problem, start, found, e)
    assert 0.0 < found.doubt < 1e-3 if dtype == np.float32 else found.doubt < 1e-11
    wrong = (Z >= 0) != masks
    assert not wrong[np.abs(Z) > found.doubt].any()
    owners = np.repeat(np.arange(300), np.diff(chosen.first))
    candidate = np.zeros(masks.shape[1:], bool)
    candidate[chosen.samples, owners] = True
    assert not wrong[:, ~candidate].any()
    assert np.count_nonzero(wrong) <= found.within <= np.count_nonzero(np.abs(Z) <= 2.0 * found.doubt)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_need_covers_what_changed_samples_do_to_the_others(dtype):
    """The level that a sweep asks for is at least what its events add, in exact arithmetic."""
    problem = problem_of(*posed(dtype, 40, 300, 30))
    exact = residual_path(problem.X, problem.labels, problem.weights(0, 300), problem.a, 30, LR)
    e = exact["e"][:-1].astype(np.float64)
    E = problem.schedule(problem.steps).course(e, np.zeros(40))
    start, field, chosen, found = swept(problem, E, e, 0.2)
    _, masks = exact_path(problem, start, found, e)
    turned = masks[:-1].astype(np.float64) - masks[0]
    q = problem.lr * np.cumsum(turned * e[:, :, None], axis=0)
    added = np.abs(np.einsum("il,slr->sir", problem.K, q)).max(axis=0) / (
        field.allowance * field.sizes[:, None]
    )
    owners = np.repeat(np.arange(300), np.diff(chosen.first))
    added[chosen.samples, owners] = 0.0
    assert (found.need >= added.max(axis=0)).all()
    assert (found.need > 0.0).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_hold_for_every_entry_of_every_step(dtype):
    """Displacements of unchanged samples never exceed the bound of the margins and the remainder."""
    problem = problem_of(*posed(dtype, 40, 300, 30))
    exact = residual_path(problem.X, problem.labels, problem.weights(0, 300), problem.a, 30, LR)
    E = problem.schedule(problem.steps).course(exact["e"][:-1].astype(np.float64), np.zeros(40))
    for other in (E, E * np.linspace(1.0, 1.3, 40), E[:, ::-1].copy()):
        start = begin(problem, problem.weights, np.full(40, np.inf))
        field = Field(problem, start, E, np.empty(0, np.int64))
        masks = pattern(start.rows, 40).T
        moved = np.abs(np.einsum("il,lr,sl->sir", problem.K, masks, other)).max(axis=0)
        distance = np.abs(start.kept.values).astype(np.float64).reshape(300, 40).T / np.abs(problem.unit)
        bound = distance - field.margins.reshape(300, 40).T
        room = field.remainder(other) * field.sizes[:, None] + 4.0 * np.finfo(dtype).eps * distance
        assert (moved <= bound + room).all()
