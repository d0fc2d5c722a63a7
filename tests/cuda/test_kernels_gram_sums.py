"""Sums over neurons for Gram matrices of the second layer, and of weights that differ."""

import numpy as np
import pytest

from fastntk.jit_cuda import cuda
from fastntk.kernels.cuda import gram_sums
from fastntk.packing import PackedMasks


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
    gram_sums.weigh(bits, 64, 66, cuda.to_device(weights), out)
    assert np.array_equal(out.copy_to_host()[:, :66], (dense * weights)[:, 64:])
    assert not out.copy_to_host()[:, 66:].any()


def test_sums_become_gram_matrices(rng):
    K, S, part = rng.random((33, 33)), rng.random((33, 33)), rng.random((33, 33)).astype(np.float32)
    there, H = cuda.to_device(S), cuda.to_device(np.full((33, 33), np.nan))
    gram_sums.add_sums(cuda.to_device(part), there)
    assert np.array_equal(there.copy_to_host(), S + part)
    gram_sums.gram_from_sums(cuda.to_device(K), cuda.to_device(S), 7.0, H)
    expected = np.tril(K * S / 7.0) + np.tril(K * S / 7.0, -1).T
    assert np.array_equal(H.copy_to_host(), expected)
    gram_sums.add_to_gram(cuda.to_device(S), 3.0, H)
    assert np.array_equal(H.copy_to_host(), expected + np.tril(S / 3.0) + np.tril(S / 3.0, -1).T)
