"""loss_gradient against the reference and finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastntk
from fastntk import reference

SIZES = (1, 2, 7, 9, 16, 17, 33, 64, 65, 129)
DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_exact_on_integers(n, dtype, problem):
    """With m a power of four and labels to match, every number on the way is a small dyadic rational."""
    for m in (1, 4, 16, 64, 256, 4096):
        for d in (1, 15, 16, 17, 33):
            p = problem(n, d, m, dtype, integers=True)
            found = fastntk.loss_gradient(p.X, p.y, p.W, p.a)
            assert found.dtype == dtype
            exact = [array.astype(np.float64) for array in (p.X, p.y, p.W, p.a)]
            expected = reference.loss_gradient(*exact)
            if np.abs(expected).max() * m < 2**20:  # else a float32 sum may round
                assert np.array_equal(found, expected), (n, m, d)
            else:
                np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("m", [2, 63, 65, 127, 1000, 4097, 8200])
def test_close_on_reals(m, problem):
    p = problem(70, 19, m)
    found = fastntk.loss_gradient(p.X, p.y, p.W, p.a)
    expected = reference.loss_gradient(p.X, p.y, p.W, p.a)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    narrow = fastntk.loss_gradient(p.X, p.y, p.W.astype(np.float32), p.a)
    assert narrow.dtype == np.float32
    # A neuron whose sign is lost in the rounding differs by a whole term; none is that close to zero here.
    np.testing.assert_allclose(narrow, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_finite_differences(problem):
    p = problem(9, 5, 13)
    G = fastntk.loss_gradient(p.X, p.y, p.W, p.a)
    gap = np.abs(p.X @ p.W.T).min(axis=0)  # how far each neuron is from a kink

    def loss(W):
        return reference.loss(fastntk.TwoLayerReLU(W, p.a)(p.X), p.y)

    for r, c in np.ndindex(p.W.shape):
        h = min(1e-4, gap[r] / 2)
        up, down = p.W.copy(), p.W.copy()
        up[r, c] += h
        down[r, c] -= h
        # quadratic between kinks, so the central difference is exact up to rounding
        assert (loss(up) - loss(down)) / (2 * h) == pytest.approx(G[r, c], abs=1e-12 / h)


def test_a_kink_counts_as_active():
    """At W = 0 all neurons are active, although all outputs are 0."""
    X, y = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([2.0, 4.0])
    G = fastntk.loss_gradient(X, y, np.zeros((4, 2)), [1.0, -1.0, 1.0, 1.0])
    assert np.array_equal(G, np.outer([-0.5, 0.5, -0.5, -0.5], [14.0, 0.0]))


@given(st.integers(1, 20), st.integers(1, 40), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_linear_in_the_residual(n, m, d, seed):
    rng = np.random.default_rng(seed)
    X, W, a = rng.standard_normal((n, d)), rng.standard_normal((m, d)), rng.standard_normal(m)
    u = fastntk.TwoLayerReLU(W, a)(X)
    e, f = rng.standard_normal((2, n))
    G, H, both = (fastntk.loss_gradient(X, u - residual, W, a) for residual in (e, f, e + 2 * f))
    np.testing.assert_allclose(
        both, G + 2 * H, rtol=0, atol=1e-12 * (1 + np.abs(u).max()) * (1 + np.abs(both).max())
    )
    assert not fastntk.loss_gradient(X, u, W, a).any()
