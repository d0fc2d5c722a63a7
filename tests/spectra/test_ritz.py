"""The compiled searches for eigenpairs against LAPACK."""

import numpy as np
import pytest

from fastntk.compilation.threads import kernel_threads
from fastntk.kernels.cpu.ritz import furthest, images, lowest
from fastntk.spectra import SmallestEigenvalue, tracking
from fastntk.spectra.difference import single_matrix
from fastntk.spectra.lapack import factorised, inverse_from
from fastntk.spectra.subspace import Space

KINDS = [np.float32, np.float64]


def laid_out(values: np.ndarray, kind: type) -> np.ndarray:
    """As the searches take matrices: in single precision in rows of whole vectors."""
    if kind is np.float64:
        return np.ascontiguousarray(values, kind)
    found = single_matrix(len(values))
    found[:, : len(values)] = values
    return found


def with_spectrum(values: np.ndarray, seed: int = 0) -> np.ndarray:
    n = len(values)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    return (Q * values) @ Q.T


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [4, 5, 16, 37])
def test_products_of_several_vectors(n, kind, rng):
    """Of small integers, which are exact; of each number of vectors, on any number of threads."""
    half = rng.integers(-3, 4, (n, n))
    M, exact = laid_out(half + half.T, kind), half + half.T
    for count in (1, 2, 3, 8):
        rows = np.zeros((count + 2, M.shape[1]), kind)
        rows[:, :n] = rng.integers(-3, 4, (count + 2, n))
        for threads in (1, None):
            out = np.zeros_like(rows)
            with kernel_threads(threads):
                images(M, rows, 1, count + 1, out)
            np.testing.assert_array_equal(out[1:-1, :n], rows[1:-1, :n] @ exact)
            assert not out[[0, -1]].any()
            assert not out[:, n:].any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inverted", [False, True])
def test_lowest_pairs(kind, inverted):
    n, count = 210, 4
    values = np.concatenate([[1.0, 1.1, 1.3, 1.35], np.linspace(2.0, 40.0, n - 4)])
    exact = with_spectrum(values)
    M = laid_out(exact, kind)
    space, rng = Space.of(M, count), np.random.default_rng(1)
    block = np.zeros((count, M.shape[1]), kind)
    block[:, :n] = rng.standard_normal((count, n))
    inverse = laid_out(np.linalg.inv(exact - 0.9 * np.eye(n)), kind) if inverted else np.empty((0, 0), kind)
    found = []
    for threads in (1, None):
        with kernel_threads(threads):
            got, length, rounds, converged = lowest(M, inverse, block, *space, 1e-4, 0.0, 200)
        found.append((got, space.rows[:count, :n].astype(np.float64)))
    assert converged
    assert length <= 1e-4
    # more than fit in, so that the subspace is taken down to the block on the way
    assert rounds < 12 if inverted else len(space.rows) - count < rounds
    assert got[0] == pytest.approx(1.0, abs=1e-6)
    vector = found[0][1][0]
    np.testing.assert_allclose(found[0][1] @ found[0][1].T, np.eye(count), atol=1e-5)
    assert np.linalg.norm(exact @ vector - got[0] * vector) <= 1.1e-4
    for one, any_number in zip(*found, strict=True):
        np.testing.assert_array_equal(one, any_number)


def test_a_search_that_runs_out_of_products_says_so():
    M = laid_out(with_spectrum(np.linspace(1.0, 2.0, 200)), np.float64)
    space, none = Space.of(M, 2), np.empty((0, 0))
    block = np.random.default_rng(0).standard_normal((2, 200))
    _, length, rounds, converged = lowest(M, none, block, *space, 1e-12, 0.0, 5)
    assert (rounds, converged) == (5, False)
    assert length > 1e-12


@pytest.mark.parametrize("ends", [(-3.0, 2.9), (-2.9, 3.0), (-3.0, 0.1), (0.0, 0.0)])
def test_furthest_pairs_at_both_ends(ends):
    n = 200
    inner = np.linspace(0.9 * ends[0], 0.9 * ends[1], n - 2)
    exact = with_spectrum(np.concatenate([[ends[0]], inner, [ends[1]]]))
    M = laid_out(exact, np.float32)
    space, block = Space.of(M, 5), np.zeros((5, M.shape[1]), np.float32)
    block[:, :n] = np.random.default_rng(2).standard_normal((5, n))
    values = furthest(M, block, *space, 2, 1e-3, 1e-6, 300)
    most = np.abs(values).argmax()
    assert abs(values[most]) == pytest.approx(max(map(abs, ends)), rel=1e-5)
    vector = space.rows[most, :n].astype(np.float64)
    assert np.linalg.norm(exact @ vector - values[most] * vector) <= 1.1e-3 * abs(values[most]) + 2e-6


@pytest.mark.parametrize("kind", KINDS)
def test_factor_and_inverse(kind, rng):
    A = with_spectrum(np.linspace(1.0, 2.0, 150)).astype(kind)
    factor = A.copy()
    assert factorised(factor)
    U = np.triu(factor)
    np.testing.assert_allclose(U.T @ U, A, atol=150 * np.finfo(kind).eps)
    np.testing.assert_array_equal(np.tril(factor, -1), np.tril(A, -1))
    inverse = inverse_from(factor)
    np.testing.assert_array_equal(inverse, inverse.T)
    np.testing.assert_allclose(inverse @ A, np.eye(150), atol=150 * np.finfo(kind).eps)
    assert not factorised((A - 1.5 * np.eye(150)).astype(kind))


@pytest.mark.parametrize(("kind", "entry"), [(np.float32, np.inf), (np.float32, 2e38), (np.float64, 1e308)])
def test_a_pivot_that_is_not_a_number_proves_nothing(kind, entry):
    A = np.diag(np.linspace(1.0, 2.0, 200)).astype(kind)
    A[20, 30] = A[30, 20] = entry
    A[20, 20] = 1e-3
    assert not factorised(A)


@pytest.mark.parametrize(
    ("rtol", "single", "stays"), [(1e-4, None, True), (1e-9, None, False), (1e-9, 0.0, False)]
)
def test_a_tracker_searches_in_single_precision_where_that_is_enough(rtol, single, stays, monkeypatch):
    """And leaves it where it was expected to be, but is not."""
    if single is not None:
        monkeypatch.setattr(tracking, "_EXPECTED", single)
    A, change = with_spectrum(np.linspace(1.0, 3.0, 210)), with_spectrum(np.linspace(-1.0, 1.0, 210), 1)
    tracker, change = SmallestEigenvalue(rtol=rtol), change + change.T
    for k in range(4):
        H = A + 1e-3 * k * change
        H = (H + H.T) / 2
        found = tracker.update(H)
        assert found.residual_bound <= rtol * found
        assert found == pytest.approx(np.linalg.eigvalsh(H)[0], rel=rtol / 10)
        assert np.linalg.norm(H @ found.vector - found * found.vector) <= rtol * found
        assert tracker._search_in_single is (stays or (k == 0 and single is not None))
