"""gram: against the reference, exactly symmetric, with weights, and close to its limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastntk
from fastntk import memory, reference

SIZES = (1, 2, 7, 9, 16, 17, 31, 33, 64, 65, 129)
DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_exact_on_integers(n, dtype, problem):
    for m in (*SIZES, 4097):
        p = problem(n, 5, m, dtype, integers=True)
        masks = reference.activation_masks(p.X, p.W)
        expected = reference.gram(p.X, masks)
        for found in (fastntk.gram(p.X, p.W), fastntk.gram(p.X, masks=masks), fastntk.gram(p.X, p.W, a=p.a)):
            assert found.dtype == np.float64
            assert np.array_equal(found, expected), (n, m)


@pytest.mark.parametrize("d", [1, 2, 63, 129])
def test_close_on_reals(d, problem):
    p = problem(40, d, 500)
    H = fastntk.gram(p.X, p.W)
    assert np.array_equal(H, H.T)
    masks = fastntk.activation_masks(p.X, p.W)
    assert np.array_equal(fastntk.gram(p.X, masks=masks), H)
    np.testing.assert_allclose(H, reference.gram(p.X, masks.to_dense()), rtol=0, atol=1e-15)
    assert np.linalg.eigvalsh(H)[0] >= -1e-14


@pytest.mark.parametrize("m", [1, 65, 4096, 4097, 9000])
def test_weights_of_the_second_layer(m, problem, rng):
    p = problem(33, 6, m)
    masks = fastntk.activation_masks(p.X, p.W)
    for a in (rng.standard_normal(m), rng.integers(-2, 3, m), np.zeros(m)):
        H = fastntk.gram(p.X, masks=masks, a=a)
        assert np.array_equal(H, H.T)
        expected = reference.gram(p.X, masks.to_dense(), a)
        np.testing.assert_allclose(H, expected, rtol=0, atol=1e-14 * (1 + np.square(a).mean()))
    np.testing.assert_allclose(
        fastntk.gram(p.X, p.W, a=np.full(m, -3.0)), 9 * fastntk.gram(p.X, p.W), rtol=1e-14
    )


@given(st.integers(1, 30), st.integers(1, 100), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_properties(n, m, d, seed):
    rng = np.random.default_rng(seed)
    X, W = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    H = fastntk.gram(X, W)
    assert np.array_equal(H, H.T)
    assert (np.diag(H) >= 0).all()
    size = np.sqrt(np.einsum("ij,ij->i", X, X))
    assert (np.abs(H) <= np.outer(size, size) * (1 + 1e-12)).all()
    assert np.linalg.eigvalsh(H)[0] >= -1e-13 * np.trace(H)
    # neurons are averaged: the matrix of all is the mean of the matrices of each
    single = [fastntk.gram(X, W[r : r + 1]) for r in range(m)]
    np.testing.assert_allclose(H, np.mean(single, axis=0), atol=1e-13 * size.max() ** 2)


def test_tends_to_the_limit(problem):
    """The error of each entry is that of a mean of m indicators: |x_i . x_j| sqrt(p (1 - p) / m)."""
    m = 50000
    p = problem(20, 4, m)
    limit = fastntk.limit_gram(p.X)
    assert (np.abs(fastntk.gram(p.X, p.W) - limit) <= 5 * 0.5 * np.abs(p.X @ p.X.T) / np.sqrt(m)).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "exactly one of W and masks must be given, got neither"),
        ({"W": np.ones((2, 3)), "masks": np.ones((4, 2), bool)}, ValueError, "got both"),
        ({"W": np.ones((2, 2))}, ValueError, "X and W must have the same number of columns, got 3 and 2"),
        ({"masks": np.ones((5, 2), bool)}, ValueError, r"one row for each row of X \(4\), got 5"),
        ({"masks": np.ones((4, 2))}, ValueError, "masks must be a non-empty boolean matrix"),
        ({"masks": [[True]] * 4}, TypeError, "masks must be PackedMasks or a boolean matrix, got list"),
        ({"W": np.ones((2, 3)), "a": [1.0]}, ValueError, "a must have one entry for each row of W"),
        ({"W": np.ones((2, 3)), "a": [1.0, np.nan]}, ValueError, "a must be finite, got nan at index 1"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        fastntk.gram(np.ones((4, 3)), **arguments)


def test_result_beyond_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**7)
    with pytest.raises(fastntk.MemoryLimitError, match=r"n=2000 samples .*needs 0.0\d+ GiB"):
        fastntk.gram(np.ones((2000, 1)), np.ones((1, 1)))


@pytest.mark.parametrize(
    ("degrees", "eigenvalues"),
    [(60, (1 / 3, 2 / 3)), (90, (1 / 2, 1 / 2)), (120, (5 / 12, 7 / 12)), (180, (1 / 2, 1 / 2))],
)
def test_two_points_at_an_angle(degrees, eigenvalues, rng):
    angle = np.radians(degrees)
    X = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    found = np.linalg.eigvalsh(fastntk.gram(X, rng.standard_normal((100000, 2))))
    assert found == pytest.approx(eigenvalues, abs=0.01)
