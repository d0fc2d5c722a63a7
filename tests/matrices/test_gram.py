"""gram: against the reference, exactly symmetric, with weights, and close to its limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastntk
from fastntk import reference
from fastntk.base import memory

SIZES = (1, 2, 7, 9, 16, 17, 31, 33, 64, 65, 129)
DTYPES = (np.float32, np.float64)


@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")  # small integers repeat rows
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


@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")  # d = 1: all points are parallel
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


@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")  # d = 1: all points are parallel
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


def test_rows_that_make_it_singular_are_named(rng):
    X, W = rng.standard_normal((30, 4)), rng.standard_normal((50, 4))
    X[7] = 2 * X[3]
    X[9] = -X[4]  # opposite rows share no neurons: nothing to warn of at finite width
    with pytest.warns(
        fastntk.SingularGramWarning, match="rows 3 and 7 of X are positive multiples"
    ) as caught:
        H = fastntk.gram(X, W)
    assert caught[0].filename == __file__
    assert len(caught) == 1
    assert abs(np.linalg.eigvalsh(H)[0]) < 1e-14
    fastntk.gram(X, W, Z=X.copy())
    X[7] = 0
    with pytest.warns(fastntk.SingularGramWarning, match="row 7 of X is zero"):
        fastntk.gram(X, W, layers="both")


def test_result_beyond_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**7)
    X = np.random.default_rng(0).standard_normal((2000, 3))
    with pytest.raises(fastntk.MemoryLimitError, match=r"2000 x 2000 Gram matrix needs 0.0\d+ GiB"):
        fastntk.gram(X, np.ones((1, 3)))
    out = np.empty((2000, 2000))
    with pytest.raises(
        fastntk.MemoryLimitError, match=r"n=2000 samples and m=100000 neurons needs 0.0\d+ GiB"
    ):
        fastntk.gram(X, width=100000, out=out)
    with pytest.raises(fastntk.MemoryLimitError, match=r"sums of 91 tiles needs 0.0\d+ GiB"):
        fastntk.gram(X, np.ones((1, 3)), layers="second", out=out)


@pytest.mark.parametrize(
    ("degrees", "eigenvalues"),
    [(60, (1 / 3, 2 / 3)), (90, (1 / 2, 1 / 2)), (120, (5 / 12, 7 / 12)), (180, (1 / 2, 1 / 2))],
)
def test_two_points_at_an_angle(degrees, eigenvalues, rng):
    angle = np.radians(degrees)
    X = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    found = np.linalg.eigvalsh(fastntk.gram(X, rng.standard_normal((100000, 2))))
    assert found == pytest.approx(eigenvalues, abs=0.01)
