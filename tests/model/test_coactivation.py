"""coactivation_counts: exact for every size, and distributed as theory says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastntk
from fastntk import PackedMasks, reference
from fastntk.base.memory import aligned_zeros
from fastntk.kernels.cpu.coactivation import BLOCK, SUPER, WORDS, to_panels

SIZES = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129)


def random_pattern(rng, n, m):
    return rng.integers(0, 2, (n, m), dtype=np.uint8).astype(bool)


@pytest.mark.parametrize("n", [*SIZES, 32, 96, 300])
def test_exact(n, rng):
    for m in SIZES:
        dense = random_pattern(rng, n, m)
        counts = fastntk.coactivation_counts(PackedMasks.from_dense(dense))
        assert counts.dtype == np.int64
        assert np.array_equal(counts, reference.coactivation_counts(dense)), (n, m)


@pytest.mark.parametrize("n", [BLOCK * SUPER - 1, BLOCK * SUPER, BLOCK * SUPER + 1, 2 * BLOCK * SUPER + 40])
def test_exact_across_blocks_of_samples(n, rng):
    dense = random_pattern(rng, n, 70)
    assert np.array_equal(fastntk.coactivation_counts(dense), reference.strong_coactivation_counts(dense))


@pytest.mark.parametrize("m", [4095, 4097, 64 * WORDS - 1, 64 * WORDS, 64 * WORDS + 1, 128 * WORDS + 65])
@pytest.mark.parametrize("n", [1, 5, 33])
def test_exact_across_blocks_of_words(n, m, rng):
    dense = random_pattern(rng, n, m)
    counts = fastntk.coactivation_counts(PackedMasks.from_dense(dense))
    assert np.array_equal(counts, reference.strong_coactivation_counts(dense))


@pytest.mark.parametrize("n", [1, 33, 70])
def test_all_active_and_none_active(n):
    m = 64 * WORDS + 3
    assert (fastntk.coactivation_counts(np.ones((n, m), bool)) == m).all()
    assert (fastntk.coactivation_counts(np.zeros((n, m), bool)) == 0).all()


@given(hnp.arrays(bool, st.tuples(st.integers(1, 70), st.integers(1, 140))))
def test_properties(dense):
    n, m = dense.shape
    counts = fastntk.coactivation_counts(PackedMasks.from_dense(dense))
    active = np.diag(counts)
    assert np.array_equal(counts, counts.T)
    assert np.array_equal(active, dense.sum(axis=1))
    assert (counts >= 0).all()
    assert (counts <= m).all()
    assert (counts <= np.minimum.outer(active, active)).all()
    # a pattern and its complement share every neuron exactly once
    neither = fastntk.coactivation_counts(~dense)
    assert np.array_equal(counts - neither, active[:, None] + active - m)


@pytest.mark.parametrize("n", [1, 8, 17, 40])
def test_panels_are_bit_transposes(n, rng):
    dense = random_pattern(rng, n, 130)
    masks = PackedMasks.from_dense(dense)
    panels = aligned_zeros((4 * -(-n // 32), 3, 8), np.uint64)
    to_panels(masks.bits, panels)
    for i in range(8 * len(panels)):
        words = np.ascontiguousarray(panels[i // 8, :, i % 8])
        row = np.unpackbits(words.view(np.uint8), bitorder="little")
        expected = np.zeros(192, bool)
        if i < n:
            expected[:130] = dense[i]
        assert np.array_equal(row, expected)


def test_binomial_at_random_weights(rng):
    """C_ij ~ Binomial(m, (pi - theta) / 2 pi), Hamming distances ~ Binomial(m, theta / pi)."""
    m, angles = 40000, np.array([0.0, 0.1, 1.0, np.pi / 2, 2.0, 3.0, np.pi])
    X = np.column_stack([np.cos(angles), np.sin(angles)])
    masks = fastntk.activation_masks(X, rng.standard_normal((m, 2)))
    counts = fastntk.coactivation_counts(masks)
    active = np.diag(counts)
    theta = np.abs(angles[:, None] - angles)
    for found, p in (
        (counts, (np.pi - theta) / (2 * np.pi)),
        (active[:, None] + active - 2 * counts, theta / np.pi),
    ):
        deviation = 5 * np.sqrt(m * p * (1 - p)) + 1e-6  # 28 values: 5 sigma is never reached by chance
        assert (np.abs(found - m * p) <= deviation).all()


def test_result_beyond_memory():
    with pytest.raises(fastntk.MemoryLimitError, match=r"n=3000000 samples needs 6.71e\+04 GiB"):
        fastntk.coactivation_counts(PackedMasks.empty(3_000_000, 1))
