"""Kernels of the path engine against their NumPy twins, at sizes around their vectors, words and tiles."""

import dataclasses

import numpy as np
import pytest

from fastntk import losses, optimizers
from fastntk.engines.path import PathProblem
from fastntk.engines.path.base import Base
from fastntk.engines.path.basis import basis
from fastntk.engines.path.candidates import Field, chain, distances
from fastntk.engines.path.coefficients import Sparse, changed_entries, pattern
from fastntk.engines.path.displaced import Displaced
from fastntk.engines.path.drag import Drag
from fastntk.engines.path.events import Events
from fastntk.engines.path.outputs import Recursion
from fastntk.engines.path.start import begin
from fastntk.engines.path.sweeps import Sweeper
from fastntk.kernels.cpu.path_events import change_patterns
from fastntk.reference import path as twin

SIZES = [(1, 1, 1), (2, 3, 63), (15, 4, 64), (16, 7, 65), (17, 5, 129), (65, 9, 127), (127, 20, 300)]
EPS = {np.float32: 2e-5, np.float64: 1e-12}


def made(n, d, m, dtype=np.float64, uniform=True, steps=12, lr=0.4, optimizer="gd"):
    rng = np.random.default_rng(n * 1000 + m)
    X = rng.standard_normal((n, d)) / np.sqrt(d)
    W = rng.standard_normal((m, d)).astype(dtype)
    a = rng.choice([-1.0, 1.0], m) if uniform else rng.standard_normal(m)
    problem = PathProblem(
        X, rng.standard_normal(n), losses.Squared(), optimizers.resolve(optimizer), lr, steps, a.astype(dtype),
        lambda first, last: W[first:last],
    )  # fmt: skip
    return problem, W


def window(problem, reach=np.inf):
    """Everything that one sweep needs, and the path it follows: that of exact descent."""
    start = begin(problem, problem.weights, np.full(problem.n, reach))
    beta, ahead, direct, _ = problem.optimizer.coefficients()
    W = problem.weights(0, problem.m).astype(np.float64)
    exact = twin.residual_path(
        problem.X, problem.labels, W, problem.a.astype(np.float64), problem.steps, problem.lr,
        motion=(beta, ahead, direct),
    )  # fmt: skip
    E = problem.schedule(problem.steps).course(exact["e"][:-1], np.zeros(problem.n))
    field = Field(problem, start, E, np.empty(0, np.int64))
    return start, exact, E, field


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_start(size, uniform, dtype):
    problem, W = made(*size, dtype, uniform)
    reach = 0.3 * np.sqrt(problem.m) * np.ones(problem.n)
    start = begin(problem, problem.weights, reach)
    Z = problem.X.astype(dtype) @ W.T
    a = problem.a.astype(np.float64)
    tolerance = EPS[dtype]
    near_kink = np.abs(Z) < tolerance
    found = pattern(start.rows, problem.n).T
    assert ((found == (Z >= 0)) | near_kink).all()
    np.testing.assert_allclose(
        start.u, np.maximum(Z, 0) @ a / np.sqrt(a.size), atol=tolerance * np.sqrt(a.size)
    )
    weighted = found * np.abs(a)
    np.testing.assert_allclose(start.sums, weighted @ weighted.T, rtol=1e-12, atol=1e-12)
    owners = np.repeat(np.arange(problem.m), np.diff(start.kept.first))
    kept = np.zeros(Z.shape, bool)
    kept[start.kept.samples, owners] = True
    limit = reach[:, None] * np.abs(a) / np.sqrt(a.size)
    assert ((kept == (np.abs(Z) <= limit)) | (np.abs(np.abs(Z) - limit) < tolerance)).all()
    np.testing.assert_allclose(start.kept.values, Z[start.kept.samples, owners], atol=tolerance)
    assert (np.diff(owners * problem.n + start.kept.samples) > 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_bounds(size, dtype):
    problem, W = made(*size, dtype)
    reach = 30.0 * problem.sizes  # so that the least spare is that of another sample in other neurons
    start, _, _, field = window(problem, reach)
    n, m = problem.n, problem.m
    masks = pattern(start.rows, n).T
    D = twin.displacements(problem.K, field.knots, masks)
    bound = np.abs(np.einsum("vj,jir->vir", field._corners, D)).max(axis=0) + field._width * np.abs(D).sum(
        axis=0
    )
    scale = max(bound.max(), 1.0) * EPS[dtype] * 10
    owners = np.repeat(np.arange(m), np.diff(start.kept.first))
    margin = np.abs(start.kept.values) * np.sqrt(m) - bound[start.kept.samples, owners]
    np.testing.assert_allclose(field.margins, margin, atol=scale + 1e3 * EPS[dtype])
    spare = (reach[:, None] - bound) / problem.sizes[:, None]
    assert n == 1 or np.unique(spare.argmin(axis=0)).size > min(n, m) / 8
    np.testing.assert_allclose(field.spare, spare.min(axis=0), rtol=EPS[dtype])
    pairs = [(j, k) for j in range(len(D)) for k in range(j, len(D))]
    for column, (j, k) in enumerate(pairs):
        want = np.einsum("ir,i,ir->r", masks, field.knots[j], D[k])
        np.testing.assert_allclose(field.gram[:, column], want, atol=scale)


@pytest.mark.parametrize("size", SIZES)
def test_candidates(size):
    problem, W = made(*size)
    start, _, _, field = window(problem)
    chosen, n = field.chosen(), problem.n
    masks = pattern(start.rows, n).T
    D = twin.displacements(problem.K, field.knots, masks)
    room = field.allowance * problem.sizes + field._width * np.abs(D).sum(axis=0).max(axis=1)
    most = twin.candidates(problem.X @ W.T, problem.unit, D, field._corners, room * (1 + 1e-9))
    least = twin.candidates(problem.X @ W.T, problem.unit, D, field._corners, 0.0 * room)
    found = np.zeros(masks.shape, bool)
    found[chosen.samples, np.repeat(np.arange(problem.m), np.diff(chosen.first))] = True
    assert (found <= most).all()
    assert (found >= least).all()
    by_sample = np.repeat(np.arange(n), np.diff(chosen.starts))
    np.testing.assert_array_equal(chosen.samples[chosen.entries], by_sample)
    np.testing.assert_array_equal(np.searchsorted(chosen.first, chosen.entries, "right") - 1, chosen.neurons)


@pytest.mark.parametrize("optimizer", ["gd", "heavy_ball", "nesterov"])
@pytest.mark.parametrize("size", SIZES)
def test_sweep_and_recursion(size, optimizer):
    """Along the residuals of exact descent, the events, S, drifts and outputs are those of exact descent."""
    problem, W = made(*size, uniform=size[0] % 2 == 1, optimizer=optimizer)
    start, exact, E, field = window(problem)
    n, m, a = problem.n, problem.m, problem.a
    chosen = field.chosen()
    base = type("Base", (), {"active": np.zeros(n)})()
    sweeper = Sweeper(problem, start, field, Displaced(problem, start, field.knots, base))
    swept = sweeper(problem.schedule(problem.steps), exact["e"][:-1], E, chosen, np.empty(0), True)
    events = swept.events.of()
    found = np.stack((events.steps, events.samples, events.neurons, events.on), axis=1)
    np.testing.assert_array_equal(found, exact["events"])

    Z0 = problem.X @ W.T
    straight = np.einsum("il,lr,sl->sir", problem.K, exact["masks"][0], E)
    motion, gradients = problem.optimizer.coefficients()[:3], problem.lr * exact["e"][:-1]
    paths = [
        twin.neuron_path(Z0[:, r], problem.K, problem.unit[r], straight[:, :, r], gradients, motion)[0]
        for r in range(m)
    ]  # fmt: skip
    Z = np.moveaxis(np.array(paths), 0, 2)
    np.testing.assert_allclose(swept.S, twin.changed_outputs(Z, a), atol=1e-12)

    outputs = Recursion(problem, start, np.zeros(n), np.inf)(problem.schedule(problem.steps), swept)
    np.testing.assert_allclose(outputs.u, exact["u"], atol=1e-11)
    velocity, read_out = np.zeros(n), exact["u"][0]
    for s in range(problem.steps):
        push = twin.read_out_step(problem.K, exact["masks"][s], exact["masks"][0], a, gradients[s])
        velocity = motion[0] * velocity + push
        read_out = read_out + motion[1] * velocity + motion[2] * push
        np.testing.assert_allclose(outputs.u[s + 1] - swept.S[s + 1], read_out, atol=1e-11)
    drifts = np.linalg.norm(exact["W"] - W, axis=1)
    last = swept.leaders.of(swept.leaders.steps == problem.steps)
    assert drifts.argmax() in last.neurons or drifts.max() == 0.0


def test_counts_times_a_number_that_float32_does_not_know():
    """Common activations stay exact when their weights, all alike, are no powers of two."""
    problem, _ = made(17, 5, 129, np.float32)
    problem = dataclasses.replace(problem, a=np.float32(0.7) * problem.a)
    start, exact, E, field = window(problem)
    swept = Sweeper(
        problem,
        start,
        field,
        Displaced(problem, start, field.knots, Base(start.rows, np.zeros(17), Sparse.none())),
    )(problem.schedule(problem.steps), exact["e"][:-1], E, field.chosen(), np.empty(0), False)
    assert swept.events.total > 50
    recursion = Recursion(problem, start, np.zeros(17), np.inf)
    recursion(problem.schedule(problem.steps), swept)
    rows = start.rows.copy()
    for step in range(problem.steps):
        change_patterns(swept.events.first[step], swept.events.neurons, swept.events.on, rows)
    counts = pattern(rows, 17).T.astype(int) @ pattern(start.rows, 17).astype(int)
    np.testing.assert_allclose(recursion._C[:, :17], counts * float(problem.a[0]) ** 2, rtol=1e-13)


def test_pushes_grow_with_the_residuals():
    """Of a step without residuals as they are, there is no direction to measure along."""
    e, pushes = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[1.0, -2.0], [5.0, 6.0]])
    drag = Drag(e, pushes)
    np.testing.assert_allclose(drag.along(0, np.array([4.5, 6.0])), [1.5, -3.0])
    np.testing.assert_allclose(drag.along(0, np.array([3.0 + 4.0, 4.0 - 3.0])), [1.0, -2.0])
    np.testing.assert_allclose(drag.along(1, np.array([1.0, 1.0])), [5.0, 6.0])


def test_patterns_follow_the_events():
    problem, _ = made(65, 9, 127)
    start, exact, E, field = window(problem)
    base = type("Base", (), {"active": np.zeros(65)})()
    sweeper = Sweeper(problem, start, field, Displaced(problem, start, field.knots, base))
    events = sweeper(
        problem.schedule(problem.steps), exact["e"][:-1], E, field.chosen(), np.empty(0), False
    ).events
    rows = start.rows.copy()
    for step, masks in enumerate(exact["masks"]):
        change_patterns(events.first[step], events.neurons, events.on, rows)
        np.testing.assert_array_equal(pattern(rows, 65).T, masks)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (63, 5), (64, 7), (65, 9), (129, 40)])
def test_sums_of_changes(n, m):
    rng = np.random.default_rng(n)
    steps, samples, neurons = np.nonzero(rng.random((6, n, m)) < 0.2)
    first = np.searchsorted(steps * n + samples, np.arange(7)[:, None] * n + np.arange(n + 1))
    events = Events(first[:6], neurons.astype(np.int32), rng.random(steps.size) < 0.5)
    tails = rng.standard_normal((5, n))
    expected = np.zeros((m, n))
    np.add.at(
        expected,
        (neurons, samples),
        np.where(steps < 5, np.where(events.on, 1.0, -1.0) * tails[steps % 5, samples], 0.0),
    )
    found = changed_entries(events, tails, n)
    keys = np.unique((neurons * n + samples)[steps < 5])
    np.testing.assert_array_equal(found.keys, keys)
    np.testing.assert_array_equal(found.values, expected.ravel()[keys])


def test_counts_from_changes():
    first, now = np.random.default_rng(0).integers(0, 2, (2, 17, 65)).astype(bool)
    np.testing.assert_array_equal(twin.following_counts(first, now), now.astype(int) @ now.T.astype(int))


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (40, 7)])
def test_basis(shape):
    rng = np.random.default_rng(1)
    E = rng.standard_normal(shape) * 10.0 ** -np.arange(shape[0])[:, None]
    found = basis(E, 1e-6)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(len(found.vectors)), atol=1e-13)
    rest = np.linalg.norm(E - found.coefficients @ found.vectors, axis=1)
    np.testing.assert_allclose(found.error, rest, atol=1e-15)
    assert rest.max() <= 1e-6 * np.linalg.norm(E, axis=1).max()
    assert basis(np.zeros((3, 4)), 1e-6).vectors.shape == (0, 4)


def test_chain_is_close_to_its_points():
    s = np.linspace(0.0, 1.0, 50)[:, None]
    points = np.hstack((s, s**2, 0.1 * s**3))
    corners = chain(points, 8, 1e-3)
    assert len(corners) <= 8
    np.testing.assert_allclose(corners[-1], points[-1])
    assert distances(points, corners).max() < 0.01
    np.testing.assert_allclose(distances(np.array([[0.5, 1.0]]), np.array([[1.0, 0.0]])), [1.0])
