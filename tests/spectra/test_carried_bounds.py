"""What is proven of a matrix from a proof of another one, and how far a difference can lower an eigenvalue."""

import numpy as np
import pytest

from fastntk.compilation.threads import kernel_threads
from fastntk.kernels.cpu.block_norms import APART, BOUND, ROWS, SIZE, look
from fastntk.spectra import SmallestEigenvalue, carried
from fastntk.spectra.carried import CarriedBound
from fastntk.spectra.difference import single_matrix


def symmetric(n: int, seed: int = 0) -> np.ndarray:
    A = np.random.default_rng(seed).standard_normal((n, n))
    return (A + A.T) / 2


def above(n: int, seed: int = 0) -> np.ndarray:
    """A matrix whose eigenvalues lie in [1, 5]."""
    A = symmetric(n, seed)
    return 3.0 * np.eye(n) + A * (2.0 / np.linalg.norm(A, 2))


def off_diagonal(A: np.ndarray) -> float:
    return float(np.linalg.norm(A - np.diag(A.diagonal())))


@pytest.mark.parametrize("n", [1, 2, 15, 16, 63, 64, 65, 129, 200])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_look_at_a_matrix(n: int, kind: type) -> None:
    rng = np.random.default_rng(n)
    H, A = (rng.integers(-4, 5, (n, n)).astype(float) for _ in range(2))
    single = single_matrix(n)
    results = []
    for threads in (1, None):
        with kernel_threads(threads) as used:
            blocks = np.full((used, ROWS, single.shape[1]), np.nan, np.float32)
            squares = np.full((used, 2, ROWS, ROWS), np.nan, np.float32)
            found = np.empty((-(-n // ROWS), 3))
            look(H, A.astype(kind), 0.5, single, blocks, squares, found)
        results.append(found)
        np.testing.assert_array_equal(single[:, :n], H)
        assert not single[:, n:].any()
    E = 0.5 * (H - A)
    np.fill_diagonal(E, 0.0)
    for first, row in zip(range(0, n, ROWS), results[0], strict=True):
        rows = slice(first, first + ROWS)
        G = np.zeros((ROWS, ROWS))
        G[: min(ROWS, n - first), : min(ROWS, n - first)] = E[rows] @ E[rows].T
        mean = G.trace() / ROWS
        square = (G - mean * np.eye(ROWS)) @ (G - mean * np.eye(ROWS))
        bounds = [G.diagonal().max() + off_diagonal(G)]
        bounds.append(mean + np.sqrt(square.diagonal().max() + off_diagonal(square)))
        assert row[BOUND] == pytest.approx(min(bounds), rel=1e-4)
        assert np.linalg.norm(G, 2) <= row[BOUND] * (1 + 1e-6)
        assert row[APART] == np.sum((H - A)[rows] ** 2)
        assert row[SIZE] == np.sum(H[rows] ** 2)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("slack", [0.3, 1e-7])  # the earlier matrix in single precision, and in double
@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("kind", ["random", "tiny", "one entry", "rank one", "diagonal", "none"])
def test_what_a_difference_can_lower(kind: str, size: float, slack: float) -> None:
    n = 200
    A, change = above(n), np.zeros((n, n))
    if kind in ("random", "tiny"):
        change = symmetric(n, 1) * (1e-13 if kind == "tiny" else 1.0)
    elif kind == "one entry":
        change[3, 190] = change[190, 3] = 1.0
    elif kind == "rank one":
        v = np.random.default_rng(2).standard_normal(n)
        change = -np.outer(v, v) / n
    elif kind == "diagonal":
        change = np.diag(np.linspace(-1.0, 1.0, n))
    H, A = size * (A + change), size * A
    bound, single = CarriedBound(slack), single_matrix(n)
    assert bound.look(A, single) is None
    proven = bound.insist(A, size, 0.0, float(np.linalg.norm(A)))
    assert bound.look(H, single) == pytest.approx(np.linalg.norm(H), rel=1e-12)
    np.testing.assert_array_equal(single[:, :n], H.astype(np.float32))
    lowered = (proven - bound.value) / size
    exact = (H - A) / size
    assert lowered >= -np.linalg.eigvalsh(exact)[0] - 1e-15
    rest = exact - np.diag(exact.diagonal())
    # rounding A to single precision moves it by about 1e-7 of its norm
    lost = 1e-5 if slack == 0.3 else 1e-6
    assert lowered <= -exact.diagonal().min() + np.linalg.norm(rest) * (1.0 + 1e-6) + lost
    if kind == "random":  # what the inner products are for
        assert lowered < -exact.diagonal().min() + 0.4 * np.linalg.norm(rest)


def test_matrices_that_alternate_are_proven_by_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    n, factored = 400, []
    real = carried.factor_above
    monkeypatch.setattr(
        carried,
        "factor_above",
        lambda H, shift, kind=np.float64: factored.append(kind) or real(H, shift, kind),
    )
    A, change = above(n), symmetric(n, 3)
    change *= 0.15 / np.linalg.norm(change, 2)
    np.fill_diagonal(change, 0.0)
    tracker = SmallestEigenvalue(slack=0.4)
    for k in range(12):
        H = A + (change if k % 2 else -change)
        found = tracker.update(H)
        least = float(np.linalg.eigvalsh(H)[0])
        assert found.lower_bound <= least <= found.upper_bound
        assert found - found.lower_bound <= 0.4 * found
    assert len(factored) == 2  # that of the first and the one half way


@pytest.mark.parametrize("drop", [0.5, 3.0])
def test_a_mean_that_proves_too_little_leaves_the_bound_right(drop: float) -> None:
    """An eigenvalue that the search does not see, low in the new matrix and half as low in the mean."""
    values = np.linspace(1.0, 2.0, 256)
    tracker = SmallestEigenvalue()
    for k in range(4):
        now = values + 0.05 * k
        if k >= 2:
            now[-1] = 1.0 - drop
        found = tracker.update(np.diag(now))
        assert found.lower_bound <= now.min() <= found.upper_bound
        assert found - found.lower_bound <= 0.2 * abs(found) + 1e-12


@pytest.mark.parametrize("size", [0.02, 0.15])
def test_a_change_that_lowers_the_eigenvalue_by_its_norm(size: float) -> None:
    A = above(256)
    v = np.linalg.eigh(A)[1][:, 0]
    tracker = SmallestEigenvalue()
    tracker.update(A)
    found = tracker.update(A - size * np.outer(v, v))
    assert found.lower_bound <= 1.0 - size + 1e-9
    assert found - found.lower_bound <= 0.2 * found
