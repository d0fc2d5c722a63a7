"""What is proven of a path: signs outside the doubt are exact, no entry that is not a candidate can change."""

import math

import numpy as np
import pytest

from fastntk import losses, optimizers
from fastntk.engines.path import PathProblem, solve
from fastntk.engines.path.base import Base
from fastntk.engines.path.basis import basis
from fastntk.engines.path.candidates import Field
from fastntk.engines.path.coefficients import Sparse, pattern
from fastntk.engines.path.displaced import Displaced
from fastntk.engines.path.knots import grams, pair_weights
from fastntk.engines.path.rounding import drift_slack, sweep_rounding, table_terms
from fastntk.engines.path.start import begin
from fastntk.engines.path.sweeps import Sweeper
from fastntk.kernels.cpu.path_displacement import TABLE_ROWS, path_displacement
from fastntk.kernels.scratch import thread_slots
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


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 16), (np.float64, 8)])
def test_roundings_of_a_displacement_are_all_counted(dtype, size):
    """A sum to which every addition is the worst: to one, of just above half a step of its rounding each."""
    n, unit = 4096, float(np.finfo(dtype).eps) / 2.0
    K = np.zeros((1, n), dtype)
    K[0, ::8], K[0, 4::8] = 1.001 * unit, 2.0 * unit * 4.5625 / size  # tables of `size` bytes are joined
    K[0, 0] = 1.0
    B, rows = np.zeros((1, n, 16), dtype), np.full((1, n // 8), 255, np.uint8)
    B[0, :, 0] = 1.0
    first, one = np.array([0, 1]), np.zeros(1, np.int32)
    tables = np.empty((thread_slots(), 2 * size, TABLE_ROWS, 16), dtype)
    sums, D = np.empty((thread_slots(), 1, 16), dtype), np.empty((1, 1, 16), dtype)
    path_displacement(rows, K, B, first, one, one.astype(np.int64), tables, sums, D)
    exact = math.fsum(K[0].astype(float))
    wrong = abs(float(D[0, 0, 0]) - exact) / unit
    bare = problem_of(np.zeros((n, 1)), np.zeros(n), np.zeros((1, 1)), np.ones(1), 1)
    assert n / 8 < wrong <= table_terms(bare) - 16


def test_doubt_counts_every_addition():
    """Of each changed sample at each step at which it differs from the start, and its way times its largest product."""
    problem = problem_of(*posed(np.float64, 40, 300, 60))
    e = residual_path(problem.X, problem.labels, problem.weights(0, 300), problem.a, 60, LR)["e"][:-1]
    schedule = problem.schedule(60)
    E = schedule.course(e, np.zeros(40))
    start, _, _, found = swept(problem, E, e)
    _, masks = exact_path(problem, start, found, e)
    changed = masks != masks[0]
    rounding = sweep_rounding(problem, schedule, e, E, basis(E, 1e-14), np.zeros(1))
    adds = changed[:-1].sum(axis=(0, 1))
    pulled = (rounding.travel * rounding.far) @ changed.any(axis=0)
    wrong = rounding.path + (adds + rounding.terms) * rounding.unit * pulled
    assert adds.max() > rounding.terms
    assert found.doubt == pytest.approx((np.abs(problem.unit) * wrong).max(), rel=1e-12, abs=0.0)


def test_what_a_basis_leaves_out_is_in_the_doubt():
    problem = problem_of(*posed(np.float64, 40, 300, 30))
    e = residual_path(problem.X, problem.labels, problem.weights(0, 300), problem.a, 30, LR)["e"][:-1]
    schedule = problem.schedule(30)
    E, masks = schedule.course(e, np.zeros(40)), problem.X @ problem.weights(0, 300).T >= 0.0
    for tolerance in (1e-1, 1e-3):
        few = basis(E, tolerance)
        left = np.einsum("il,lr,sl->sir", problem.K, masks, E - few.coefficients @ few.vectors)
        most = sweep_rounding(problem, schedule, e, E, few, np.zeros(1)).path
        assert 0.05 * most < np.abs(left).max() <= most


@pytest.mark.parametrize("count", [1, 3])
def test_drifts_are_off_by_no_more_than_the_slack(count):
    """Those of neurons whose patterns stay, from the Gram matrices of few knots."""
    problem = problem_of(*posed(np.float64, 40, 300, 30))
    e = residual_path(problem.X, problem.labels, problem.weights(0, 300), problem.a, 30, LR)["e"][:-1]
    E = problem.schedule(30).course(e, np.zeros(40))
    rows, leading = begin(problem, problem.weights, np.zeros(40)).rows, basis(E, 1e-4).leading(count)
    squares = grams(problem, rows, leading.vectors) @ pair_weights(leading.coefficients)
    exact = np.linalg.norm(np.einsum("ri,si,id->rsd", pattern(rows, 40), E, problem.X), axis=2)
    slack = drift_slack(problem, E, leading.vectors)
    assert (np.abs(np.sqrt(np.maximum(squares, 0.0)) - exact) <= slack + 1e-12).all()
    assert slack.max() < 0.5 * exact.max()


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


def test_levels_below_what_is_needed_are_raised():
    problem = problem_of(*posed())
    e = residual_path(problem.X, problem.labels, problem.weights(0, M), problem.a, STEPS, LR)["e"][:-1]
    E = problem.schedule(STEPS).course(e, np.zeros(N))
    field = Field(problem, begin(problem, problem.weights, np.full(N, np.inf)), E, np.empty(0, np.int64))
    share = field.remainder(E) / field.allowance
    need = np.full(M, 0.999 - share)
    assert not field.widen(need, E)
    need[7] += 0.002
    assert field.widen(need, E)
    assert np.flatnonzero(field.level > 1.0).tolist() == [7]
    assert field.level[7] >= need[7] + share


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_hold_for_every_entry_of_every_step(dtype):
    """Displacements of unchanged samples never exceed the bound of the margins and the remainder."""
    problem = problem_of(*posed(dtype, 40, 300, 30))
    exact = residual_path(problem.X, problem.labels, problem.weights(0, 300), problem.a, 30, LR)
    E = problem.schedule(problem.steps).course(exact["e"][:-1].astype(np.float64), np.zeros(40))
    start = begin(problem, problem.weights, np.full(40, np.inf))
    field, masks = Field(problem, start, E, np.empty(0, np.int64)), pattern(start.rows, 40).T
    distance = np.abs(start.kept.values).astype(np.float64).reshape(300, 40).T / np.abs(problem.unit)
    bound = distance - field.margins.reshape(300, 40).T
    turned = (E @ field.knots.T)[:, ::-1] @ field.knots  # what the knots span, far from where the path was
    for other in (E, E * np.linspace(1.0, 1.3, 40), E[:, ::-1].copy(), turned):
        moved = np.abs(np.einsum("il,lr,sl->sir", problem.K, masks, other)).max(axis=0)
        room = field.remainder(other) * field.sizes[:, None] + 4.0 * np.finfo(dtype).eps * distance
        assert (moved <= bound + room).all()
    assert field.remainder(0.0 * E) > 0.0  # bounds round like the path that they were made for
