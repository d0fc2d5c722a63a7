"""Steps of gradient descent, flips and what recovers the weights, one launch after the other as an engine would."""

import itertools
import math

import numpy as np
import pytest

from fastntk import reference
from fastntk.base.packing import TILE, PackedMasks, padded_width, tiles_of
from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda import dual_step, flip_marginals, flips, primal_step, reductions

# Below, at and above a tile of samples and a block of neurons.
SIZES = [(1, 1, 1), (15, 2, 127), (16, 2, 128), (17, 5, 129)]


def padded(values, size, axis=-1):
    """Values followed by zeros."""
    room = list(values.shape)
    room[axis] = size - room[axis]
    return np.concatenate([values, np.zeros(room, values.dtype)], axis=axis)


def there(array):
    return cuda.to_device(np.ascontiguousarray(array))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d", "m"), SIZES)
def test_dual_step_of_integers_is_exact(rng, problem, n, d, m, dtype):
    """Two ranges of samples, where there are so many, and the last block of neurons on its own."""
    drawn = problem(n, d, m, dtype, integers=True)
    width, samples, ranges = padded_width(m), TILE * tiles_of(n), min(2, tiles_of(n))
    Z0 = drawn.X @ drawn.W.T
    change = rng.integers(-2, 3, (n, m)).astype(dtype)
    e, scale = rng.integers(-2, 3, n).astype(dtype), rng.integers(-2, 3, m).astype(dtype)
    old = Z0 + change >= 0
    S = reference.masked_sums(old, e[:, np.newaxis] * (drawn.X @ drawn.X.T)).T
    bits, D = there(PackedMasks.from_dense(old).bits), there(padded(change, width))
    new_bits = there(PackedMasks.empty(n, m).bits)
    u_shares = there(np.full((-(-m // 128), samples), np.nan))
    drift_shares = there(np.full((ranges, width), np.nan))
    for first in range(0, m, 128):
        count = min(128, m - first)
        dual_step.dual_step(
            n, m, first, count, bits, new_bits, there(padded(S[:, first : first + count], 130)),
            there(padded(e, samples)), there(padded(scale, width)), there(drawn.a), there(padded(Z0, width)), D,
            u_shares, drift_shares,
        )  # fmt: skip
    moved = change + scale * S
    assert np.array_equal(D.copy_to_host()[:, :m], moved)
    assert not D.copy_to_host()[:, m:].any()
    assert np.array_equal(new_bits.copy_to_host(), PackedMasks.from_dense(Z0 + moved >= 0).bits)
    u = there(np.zeros(n))
    reductions.column_sums(u_shares, 1.0, u)
    expected = reference.outputs((Z0 + moved).astype(np.float64), drawn.a) * math.sqrt(m)
    assert np.allclose(u.copy_to_host(), expected, rtol=1e-15, atol=0)
    gained = drift_shares.copy_to_host()[:, :m].sum(axis=0)
    assert np.array_equal(gained, (scale * old * e[:, np.newaxis] * (change + moved)).sum(axis=0))


def test_dual_step_keeps_nan(problem):
    drawn = problem(3, 2, 5)
    Z0, D = drawn.X @ drawn.W.T, np.zeros((3, 64))
    D[1, 4] = np.nan
    u_shares, drift_shares = there(np.zeros((1, 16))), there(np.zeros((1, 64)))
    new_bits = there(PackedMasks.empty(3, 5).bits)
    dual_step.dual_step(
        3, 5, 0, 5, there(PackedMasks.from_dense(np.ones((3, 5), bool)).bits), new_bits, there(np.ones((3, 5))),
        there(np.ones(16)), there(np.ones(64)), there(drawn.a), there(Z0), there(D), u_shares, drift_shares,
    )  # fmt: skip
    assert np.isnan(u_shares.copy_to_host()[0]).tolist() == [i == 1 for i in range(16)]
    assert np.isnan(drift_shares.copy_to_host()[0]).tolist() == [r == 4 for r in range(64)]
    assert not PackedMasks(new_bits.copy_to_host(), (3, 5)).to_dense()[1, 4]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("d", "m"), [(1, 1), (16, 128), (19, 129)])
def test_primal_step_of_integers_is_exact(rng, d, m, dtype):
    width, ranges = padded_width(m), min(2, d)
    S, W0, D = (rng.integers(-3, 4, (d, m)).astype(dtype) for _ in range(3))
    scale = rng.integers(-2, 3, m).astype(dtype)
    moving, W = there(padded(D, width)), there(np.zeros((d, width), dtype))
    drift_shares = there(np.full((ranges, width), np.nan))
    for first in range(0, m, 128):
        count = min(128, m - first)
        primal_step.primal_step(
            first, count, there(S[:, first : first + count]), there(scale), there(padded(W0, width)), moving, W,
            drift_shares,
        )  # fmt: skip
    moved = D + scale * S
    assert np.array_equal(moving.copy_to_host()[:, :m], moved)
    assert np.array_equal(W.copy_to_host()[:, :m], W0 + moved)
    assert np.array_equal(drift_shares.copy_to_host()[:, :m].sum(axis=0), (moved**2).sum(axis=0))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (17, 129), (3, 16449)])  # the last one takes two blocks a row
def test_flip_count_is_exact_and_adds_up(rng, n, m):
    before, after = rng.random((n, m)) < 0.5, rng.random((n, m)) < 0.5
    words = [there(PackedMasks.from_dense(masks).bits.view(np.uint32)) for masks in (before, after)]
    out = there(np.array([7, 0, 7]))
    flips.flip_count(*words, out, 1)
    assert out.copy_to_host().tolist() == [7, reference.flip_count(before, after), 7]
    flips.flip_count(*words, out, 1)
    assert out.copy_to_host()[1] == 2 * reference.flip_count(before, after)


@pytest.mark.parametrize(
    ("n", "m"), [(1, 1), (17, 128), (17, 129), (3, 8257)]
)  # the last one takes two blocks a row
def test_flip_marginals_are_exact(rng, n, m):
    before, after = rng.random((n, m)) < 0.5, rng.random((n, m)) < 0.5
    bits = [there(PackedMasks.from_dense(masks).bits) for masks in (before, after)]
    samples, neurons = there(np.full(TILE * tiles_of(n), 7)), there(np.full(m, 7))
    flip_marginals.flip_marginals(*bits, samples, neurons)
    expected = reference.flip_marginals(before, after)
    assert np.array_equal(samples.copy_to_host()[:n] - 7, expected[0])
    assert (samples.copy_to_host()[n:] == 7).all()
    assert np.array_equal(neurons.copy_to_host(), expected[1])


def test_coefficients_follow_the_pattern(rng):
    """Their definition, sum_k s_i(k) M_ir(k), against the running sum with corrections at flips."""
    n, m = 17, 129
    total, masks = np.zeros(TILE * tiles_of(n)), [rng.random((n, m)) < 0.5 for _ in range(4)]
    expected, offsets = np.zeros((n, m)), there(np.zeros((n, padded_width(m)), np.float32))
    for before, after in itertools.pairwise(masks):
        step = rng.integers(-3, 4, n)
        total[:n] += step
        expected += step[:, np.newaxis] * before
        pair = [there(PackedMasks.from_dense(pattern).bits) for pattern in (before, after)]
        flips.record_flips(*pair, there(total), offsets)
    out = there(np.full((n, m + 1), np.nan, np.float32))
    dual_step.sample_coefficients(n, m, pair[1], there(total), offsets, out)
    assert np.array_equal(out.copy_to_host()[:, :m], expected)


def test_a_few_dual_steps_are_gradient_descent(problem):
    """Loss, flips and drift against the reference's, which moves the weights."""
    n, d, m, lr, steps = 6, 4, 70, 0.3, 3
    drawn = problem(n, d, m)
    log = reference.train(drawn.X, drawn.y, drawn.W, drawn.a, steps=steps, lr=lr)
    width, K, Z0 = padded_width(m), drawn.X @ drawn.X.T, drawn.X @ drawn.W.T
    first = before = PackedMasks.from_dense(Z0 >= 0).bits
    D, u, squared_drift = there(np.zeros((n, width))), reference.outputs(Z0, drawn.a), there(np.zeros(width))
    scale = there(padded(-lr / math.sqrt(m) * drawn.a, width))
    for step in range(1, steps + 1):
        dense = PackedMasks(before, (n, m)).to_dense()
        e = u - drawn.y
        S = reference.masked_sums(dense, e[:, np.newaxis] * K).T
        after, u_shares, drift_shares = (
            there(0 * before),
            there(np.zeros((1, 16))),
            there(np.zeros((1, width))),
        )
        dual_step.dual_step(
            n, m, 0, m, there(before), after, there(S), there(padded(e, 16)), scale, there(drawn.a), there(Z0), D,
            u_shares, drift_shares,
        )  # fmt: skip
        reductions.add_shares(drift_shares, squared_drift)
        drift = there(np.zeros(1))
        reductions.largest_root(squared_drift, m, drift, 0)
        before, u = after.copy_to_host(), u_shares.copy_to_host().sum(axis=0)[:n] / math.sqrt(m)
        assert 0.5 * ((u - drawn.y) ** 2).sum() == pytest.approx(log["loss"][step], rel=1e-12)
        assert drift.copy_to_host()[0] == pytest.approx(log["drift"][step], rel=1e-12)
        assert np.bitwise_count(first ^ before).sum() / (n * m) == log["flips"][step]
