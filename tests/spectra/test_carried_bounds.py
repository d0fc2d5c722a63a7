"""What is proven of a matrix from a proof of another one, and how far a difference can lower an eigenvalue."""

import numpy as np
import pytest

from fastntk.compilation.threads import kernel_threads
from fastntk.kernels.cpu.block_norms import ROWS, block_norms
from fastntk.spectra import SmallestEigenvalue, carried
from fastntk.spectra.difference import difference, off_diagonal


def symmetric(n: int, seed: int = 0) -> np.ndarray:
    A = np.random.default_rng(seed).standard_normal((n, n))
    return (A + A.T) / 2


def above(n: int, seed: int = 0) -> np.ndarray:
    """A matrix whose eigenvalues lie in [1, 5]."""
    A = symmetric(n, seed)
    return 3.0 * np.eye(n) + A * (2.0 / np.linalg.norm(A, 2))


@pytest.mark.parametrize("n", [1, 2, 15, 16, 63, 64, 65, 129, 200])
def test_block_norms_are_those_of_gram_matrices(n: int) -> None:
    """Of small integers, so that only the root is rounded."""
    rng = np.random.default_rng(n)
    H, A = (rng.integers(-4, 5, (n, n)).astype(float) for _ in range(2))
    columns, count = -(-n // 16) * 16, -(-n // ROWS)
    found = []
    for threads in (1, None):
        with kernel_threads(threads) as used:
            blocks = np.full((used, ROWS, columns), np.nan, np.float32)
            bounds = np.empty(count)
            block_norms(H, A, 0.5, blocks, np.full((used, ROWS, ROWS), np.nan, np.float32), bounds)
        found.append(bounds)
    E = 0.5 * (H - A)
    np.fill_diagonal(E, 0.0)
    for first, bound in zip(range(0, n, ROWS), found[0], strict=True):
        G = E[first : first + ROWS] @ E[first : first + ROWS].T
        rest = G - np.diag(G.diagonal())
        assert bound == pytest.approx(G.diagonal().max() + np.linalg.norm(rest), rel=1e-14)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("size", [1e-90, 1e-8, 1.0, 1e80])
@pytest.mark.parametrize("kind", ["random", "one entry", "rank one", "diagonal", "none"])
def test_what_a_difference_can_lower(kind: str, size: float) -> None:
    n = 200
    A, change = above(n), np.zeros((n, n))
    if kind == "random":
        change = symmetric(n, 1)
    elif kind == "one entry":
        change[3, 190] = change[190, 3] = 1.0
    elif kind == "rank one":
        v = np.random.default_rng(2).standard_normal(n)
        change = -np.outer(v, v) / n
    elif kind == "diagonal":
        change = np.diag(np.linspace(-1.0, 1.0, n))
    H = size * (A + change)
    apart = difference(H, size * A)
    exact = H - size * A
    rest = exact - np.diag(exact.diagonal())
    bound = min(apart.rest, off_diagonal(H, size * A, apart.rest))
    norm = np.linalg.norm(rest / size, 2) * size
    assert norm <= bound * (1.0 + 1e-12)
    assert apart.least <= exact.diagonal().min()
    assert apart.rest <= np.linalg.norm(rest / size) * size * (1 + 1e-9) + 1e-4 * size
    if kind == "random":  # what the second pass is for
        assert bound < 0.45 * apart.rest


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
