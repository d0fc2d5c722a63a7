"""activation_masks and the fused forward kernel against the reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastntk
from fastntk import PackedMasks, reference
from fastntk.base import memory
from fastntk.model.patterns import forward_pass

SIZES = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129)
DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_exact_on_integers(n, dtype, problem):
    for m in SIZES:
        for d in (1, 2, 17, 65):
            p = problem(n, d, m, dtype, integers=True)
            masks, u = forward_pass(p.X, p.W, p.a)
            assert masks.shape == (n, m)
            assert np.array_equal(masks.to_dense(), reference.activation_masks(p.X, p.W)), (n, m, d)
            PackedMasks(masks.bits, (n, m))  # refuses bits in the padding
            sums = np.maximum(p.X @ p.W.T, 0) @ p.a  # integers
            assert np.array_equal(u, sums.astype(np.float64) / np.sqrt(m)), (n, m, d)


@pytest.mark.parametrize("m", [448, 511, 512, 513, 1024, 1025, 4095, 4096, 4097, 8200])
@pytest.mark.parametrize("n", [1, 17, 300])
def test_exact_across_blocks_of_neurons(n, m, problem):
    p = problem(n, 5, m, np.float32, integers=True)
    masks, u = forward_pass(p.X, p.W, p.a)
    assert np.array_equal(masks.to_dense(), reference.activation_masks(p.X, p.W))
    assert np.array_equal(u, (np.maximum(p.X @ p.W.T, 0) @ p.a).astype(np.float64) / np.sqrt(m))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", SIZES)
def test_within_rounding(d, dtype, problem):
    eps = np.finfo(dtype).eps
    for n, m in ((1, 129), (33, 65), (129, 700)):
        p = problem(n, d, m, dtype)
        X, W, a = p.X.astype(np.float64), p.W.astype(np.float64), p.a.astype(np.float64)
        Z = X @ W.T
        size = np.abs(X) @ np.abs(W.T)
        clear = np.abs(Z) > d * eps * size  # the rounding of a sum of d products
        masks, u = forward_pass(p.X, p.W, p.a)
        assert np.array_equal(masks.to_dense()[clear], (Z >= 0)[clear])
        assert clear.mean() > 0.99 or d * eps > 1e-5
        # d terms in BLAS, 64 neurons in working precision, then float64.
        bound = (d + 66) * eps * size.sum(axis=1) / np.sqrt(m)
        assert (np.abs(u - reference.outputs(Z, a)) <= bound).all()
        assert u.dtype == np.float64


def test_float32_outputs_are_as_good_as_promised(problem):
    p = problem(50, 100, 20000, np.float32)
    u = fastntk.TwoLayerReLU(p.W, p.a)(p.X)
    exact = reference.forward(p.X.astype(np.float64), p.W.astype(np.float64), p.a.astype(np.float64))
    assert np.abs(u - exact).max() <= 2e-6 * np.sqrt(np.mean(exact**2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_counts_as_active(dtype):
    X = np.array([[0.0, 0.0], [1.0, 1.0], [-0.0, 0.0]], dtype)
    W = np.array([[0.0, 0.0], [1.0, -1.0], [-1.0, 0.0], [-0.0, -0.0]], dtype)
    expected = [[True] * 4, [True, True, False, True], [True] * 4]
    assert fastntk.activation_masks(X, W).to_dense().tolist() == expected


def test_pattern_beyond_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**6)
    with pytest.raises(fastntk.MemoryLimitError, match=r"n=10000 samples and m=10000 .* needs 0.0117 GiB"):
        fastntk.activation_masks(np.ones((10000, 1)), np.ones((10000, 1)))


@given(st.integers(1, 20), st.integers(1, 90), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_samples_and_neurons_may_be_reordered(n, m, d, seed):
    rng = np.random.default_rng(seed)
    X, W = rng.integers(-3, 4, (n, d)), rng.integers(-3, 4, (m, d))
    rows, columns = rng.permutation(n), rng.permutation(m)
    dense = fastntk.activation_masks(X, W).to_dense()
    assert np.array_equal(fastntk.activation_masks(X[rows], W[columns]).to_dense(), dense[rows][:, columns])


@given(st.integers(1, 20), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_scale_does_not_matter(n, m, seed):
    rng = np.random.default_rng(seed)
    X, W = rng.integers(-3, 4, (n, 4)), rng.integers(-3, 4, (m, 4))
    stretched = X * 2.0 ** rng.integers(-20, 20, (n, 1))
    assert np.array_equal(fastntk.activation_masks(stretched, W), fastntk.activation_masks(X, W))
