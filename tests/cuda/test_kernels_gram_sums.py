"""Sums over neurons for Gram matrices of the second layer, and of weights that differ."""

import numpy as np
import pytest

from fastntk.base.packing import PackedMasks
from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda import gram_sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_positive_parts_end_in_zeros(rng, dtype):
    Z = rng.integers(-3, 4, (5, 40)).astype(dtype)
    Z[2, 3] = Z[4, 39] = np.nan
    there = cuda.to_device(Z)
    gram_sums.positive(there, 33)
    expected = np.where(np.isnan(Z), Z, np.maximum(Z, 0))
    expected[:, 33:] = 0.0
    assert np.array_equal(there.copy_to_host(), expected, equal_nan=True)


def test_weights_of_active_neurons(rng):
    dense, weights = rng.random((17, 130)) < 0.5, rng.random(130)
    out = cuda.to_device(np.full((17, 80), np.nan))
    bits = cuda.to_device(PackedMasks.from_dense(dense).bits)
    gram_sums.weigh(bits, 64, 66, cuda.to_device(weights[64:]), out)
    assert np.array_equal(out.copy_to_host()[:, :66], (dense * weights)[:, 64:])
    assert not out.copy_to_host()[:, 66:].any()


def test_sums_are_added_in_double_precision(rng):
    S, part = rng.random((33, 33)), rng.random((33, 33)).astype(np.float32)
    there = cuda.to_device(S)
    gram_sums.add_sums(cuda.to_device(part), there)
    assert np.array_equal(there.copy_to_host(), S + part)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("terms", ["counts", "weighted", "second", "counts second", "weighted second"])
def test_sums_become_gram_matrices(rng, dtype, symmetric, terms):
    """In float64, rounded once; the lower half alone is read where both are the same."""
    n, k = 33, 33 if symmetric else 5
    K, second = rng.standard_normal((n, k)), rng.random((n, k))
    first = rng.integers(0, 9, (n, k)) if "counts" in terms else rng.random((n, k))
    expected = np.zeros((n, k))
    if terms != "second":
        expected = 2.0 * K * first
    if "second" in terms:
        expected = expected + second
    if symmetric:
        expected = np.tril(expected) + np.tril(expected, -1).T
    out = cuda.to_device(np.full((n, k), np.nan, dtype))
    gram_sums.gram_entries(
        None if terms == "second" else cuda.to_device(K),
        None if terms == "second" else cuda.to_device(first),
        cuda.to_device(second) if "second" in terms else None,
        symmetric, 2.0, 7.0, out,
    )  # fmt: skip
    assert np.array_equal(out.copy_to_host(), (expected / 7.0).astype(dtype))
