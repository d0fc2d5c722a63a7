"""flip_count, flip_fraction and the bookkeeping of flips in the dual engine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastntk
from fastntk import PackedMasks, reference
from fastntk.base.memory import aligned_zeros
from fastntk.kernels.cpu.dual_step import tile_coefficients
from fastntk.kernels.cpu.flips import record_flips

SIZES = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129)

shapes = st.tuples(st.integers(1, 40), st.integers(1, 140))
triples = shapes.flatmap(lambda shape: st.tuples(*[hnp.arrays(bool, shape)] * 3))


@pytest.mark.parametrize("n", SIZES)
def test_exact(n, rng):
    for m in (*SIZES, 4097):
        a, b = rng.integers(0, 2, (2, n, m)).astype(bool)
        packed = PackedMasks.from_dense(a), PackedMasks.from_dense(b)
        count = fastntk.flip_count(*packed)
        assert type(count) is int
        assert count == reference.flip_count(a, b)
        assert fastntk.flip_fraction(*packed) == reference.flip_fraction(a, b)
        assert fastntk.flip_count(a, ~a) == n * m


@pytest.mark.parametrize("n", [*SIZES, 250, 513])
def test_marginals_are_exact(n, rng):
    """513 samples are more rows of bytes than a byte can count changes of; 2049 neurons more than one block."""
    for m in (*SIZES, 2049):
        a, b = rng.integers(0, 2, (2, n, m)).astype(bool)
        packed = PackedMasks.from_dense(a), PackedMasks.from_dense(b)
        for found, expected in zip(
            fastntk.flip_marginals(*packed), reference.flip_marginals(a, b), strict=True
        ):
            assert found.dtype == np.int64
            assert np.array_equal(found, expected)
        samples, neurons = fastntk.flip_marginals(a, ~a)
        assert (samples == m).all()
        assert (neurons == n).all()


@given(triples)
def test_is_a_metric(masks):
    a, b, c = masks
    distance = fastntk.flip_count
    assert distance(a, a) == 0
    assert (distance(a, b) == 0) == np.array_equal(a, b)
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c)
    assert 0 <= fastntk.flip_fraction(a, b) <= 1


@given(triples)
def test_agrees_with_counts(masks):
    """|A xor B| = |A| + |B| - 2 |A and B|, row by row."""
    a, b, _ = masks
    both = fastntk.coactivation_counts(np.concatenate([a, b]))
    n = len(a)
    expected = np.trace(both) - 2 * np.trace(both[:n, n:])
    assert fastntk.flip_count(a, b) == expected


def test_fraction_at_an_angle_is_theta_over_pi(rng):
    m, theta = 50000, 0.3
    W = rng.standard_normal((m, 2))
    before = fastntk.activation_masks([[1.0, 0.0]], W)
    after = fastntk.activation_masks([[np.cos(theta), np.sin(theta)]], W)
    p = theta / np.pi
    assert abs(fastntk.flip_fraction(before, after) - p) <= 5 * np.sqrt(p * (1 - p) / m)


@pytest.mark.parametrize("n", [1, 8, 17, 65])
@pytest.mark.parametrize("m", [1, 9, 64, 130])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recorded_flips_keep_the_sum(n, m, dtype, rng):
    """``sum_k e_i(k) M_ir(k) = M_ir S_i + O_ir`` through any sequence of patterns."""
    total = np.zeros(16 * -(-n // 16))
    offsets = aligned_zeros((-(-n // 16), 64 * -(-m // 64), 16), dtype)
    expected = np.zeros((n, m))
    now = PackedMasks.from_dense(rng.integers(0, 2, (n, m)).astype(bool))
    for _ in range(6):
        e = rng.integers(-5, 6, n)
        expected += e[:, None] * now.to_dense()
        total[:n] += e
        following = PackedMasks.from_dense(now.to_dense() ^ (rng.random((n, m)) < 0.3))
        record_flips(now.bits.view(np.uint64), following.bits.view(np.uint64), total, offsets)
        now = following
    for first, count in ((0, m), (m // 2, m - m // 2)):
        found = np.empty((count, n), dtype)
        tile_coefficients(n, now.bits, total.astype(dtype), offsets, first, count, found)
        assert np.array_equal(found, expected.T[first:])
