import pickle
from collections.abc import Callable

import numpy as np
import pytest

import fastntk
from fastntk.spectra import (
    Eigenvalue,
    SmallestEigenvalue,
    SpectralNorm,
    lambda_max,
    lambda_min,
    spectral_norm,
    tracking,
)
from fastntk.spectra.eigenvalue import allowance


def symmetric(n: int, seed: int = 0) -> np.ndarray:
    A = np.random.default_rng(seed).standard_normal((n, n))
    return (A + A.T) / 2


class Training:
    """Gram matrices along a path of slowly moving weights, as in a training run."""

    def __init__(self, n: int, d: int, m: int, seed: int = 0, speed: float = 2e-3) -> None:
        self.rng = np.random.default_rng(seed)
        X = self.rng.standard_normal((n, d))
        self.X = X / np.linalg.norm(X, axis=1, keepdims=True)
        self.W = self.rng.standard_normal((m, d))
        self.velocity = speed * self.rng.standard_normal((m, d))

    def gram(self) -> np.ndarray:
        masks = (self.X @ self.W.T >= 0).astype(np.float32)
        return (self.X @ self.X.T) * (masks @ masks.T).astype(np.float64) / len(self.W)

    def step(self) -> np.ndarray:
        self.W += self.velocity
        return self.gram()


def check(found: Eigenvalue, H: np.ndarray, rtol: float = 1e-6) -> None:
    """It is the smallest eigenvalue, to well within the bound it states, and the bound is what was asked for."""
    exact = np.linalg.eigvalsh(H)[0]
    rounding = allowance(len(H), float(np.linalg.norm(H)))
    assert abs(found - exact) <= found.residual_bound + rounding
    assert found >= exact - rounding
    assert found.residual_bound <= rtol * abs(found) + 3 * rounding
    assert found.lower_bound <= exact + 1e-15 * np.linalg.norm(H)
    assert exact - 1e-15 * np.linalg.norm(H) <= found.upper_bound
    residual = np.linalg.norm(H @ found.vector - found.value * found.vector)
    assert residual <= found.residual_bound
    assert abs(np.linalg.norm(found.vector) - 1) < 1e-12


def test_eigenvalue_is_a_float() -> None:
    least = lambda_min([[2.0, 1.0], [1.0, 2.0]])
    assert isinstance(least, float)
    assert least == least.value == pytest.approx(1.0, abs=1e-15)
    assert least + 1 == pytest.approx(2.0)
    copy = pickle.loads(pickle.dumps(least))
    assert (copy, copy.residual_bound) == (least, least.residual_bound)
    assert (copy.lower_bound, copy.upper_bound) == (least.lower_bound, least.upper_bound)
    assert (
        repr(Eigenvalue(0.25, 0.0, np.ones(1), 0.2, 0.3))
        == "Eigenvalue(0.25, lower_bound=0.2, upper_bound=0.3)"
    )


@pytest.mark.parametrize("n", [1, 2, 3, 10, 63, 150, 300])
def test_lambda_min_and_max_of_any_symmetric_matrix(n: int) -> None:
    H = symmetric(n)
    least, largest = lambda_min(H), lambda_max(H)
    eigenvalues = np.linalg.eigvalsh(H)
    check(least, H)
    assert abs(largest - eigenvalues[-1]) <= largest.residual_bound
    assert least.lower_bound <= eigenvalues[0] + 1e-12
    assert eigenvalues[-1] <= largest.upper_bound + 1e-12
    assert eigenvalues[0] - least.lower_bound < 1e-9  # proven, and tightly
    assert largest.upper_bound - eigenvalues[-1] < 1e-9


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e30, 1e100])
def test_scale(scale: float) -> None:
    H = Training(250, 100, 300).gram()
    assert lambda_min(scale * H) == pytest.approx(scale * lambda_min(H), rel=1e-12)
    tracker = SmallestEigenvalue()
    for _ in range(3):
        assert tracker.update(scale * H) == pytest.approx(scale * lambda_min(H), rel=1e-9)


def test_zero_identity_and_deficient_matrices() -> None:
    for n in (1, 5, 250):
        for tracker in (lambda_min, SmallestEigenvalue().update):
            assert tracker(np.zeros((n, n))) == 0.0
            assert tracker(np.eye(n)) == pytest.approx(1.0, abs=1e-13)
            low = np.ones((n, n))
            assert tracker(low) == pytest.approx(1.0 if n == 1 else 0.0, abs=1e-10)


def test_float32_matrix() -> None:
    H = Training(50, 20, 200).gram().astype(np.float32)
    assert lambda_min(H) == pytest.approx(np.linalg.eigvalsh(H.astype(np.float64))[0], rel=1e-9)


def test_rounding_asymmetry_is_accepted() -> None:
    H = symmetric(20)
    H[3, 4] += 1e-13
    assert lambda_min(H) == pytest.approx(np.linalg.eigvalsh(symmetric(20))[0], abs=1e-12)


@pytest.mark.parametrize("function", [lambda_min, lambda_max, spectral_norm, SmallestEigenvalue().update])
@pytest.mark.parametrize(
    ("H", "error", "message"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], ValueError, "must be symmetric"),
        ([[1.0, 2.0]], ValueError, r"must be a square matrix, got shape \(1, 2\)"),
        ([[1.0, np.nan], [np.nan, 1.0]], ValueError, "must be finite"),
        (np.empty((0, 0)), ValueError, "must not be empty"),
        ([1.0], ValueError, "2 dimension"),
        ([[1j]], TypeError, "real numbers"),
    ],
)
def test_bad_matrices(function: Callable, H: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        function(H)


def test_trackers_refuse_other_shapes_and_nan_later() -> None:
    tracker = SmallestEigenvalue()
    tracker.update(np.eye(3))
    with pytest.raises(ValueError, match="must keep its shape"):
        tracker.update(np.eye(4))
    with pytest.raises(ValueError, match="finite"):
        tracker.update(np.full((3, 3), np.nan))
    norm = SpectralNorm()
    with pytest.raises(ValueError, match="B must keep its shape"):
        norm.update(np.eye(3), np.eye(2))
    with pytest.raises(ValueError, match="rtol"):
        SpectralNorm(rtol=0.0)
    with pytest.raises(ValueError, match="rtol"):
        SmallestEigenvalue(rtol=2.0)


@pytest.mark.parametrize(
    ("n", "d", "m"), [(1, 3, 50), (2, 3, 50), (3, 2, 50), (60, 10, 200), (300, 300, 600)]
)
def test_tracker_follows_a_run(n: int, d: int, m: int) -> None:
    run, tracker = Training(n, d, m), SmallestEigenvalue()
    check(tracker.update(run.gram()), run.gram())
    for _ in range(8):
        H = run.step()
        check(tracker.update(H), H)


def test_tracker_needs_no_factorisation_while_little_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    run, tracker = Training(400, 400, 800), SmallestEigenvalue()
    tracker.update(run.gram())
    calls: list[int] = []
    monkeypatch.setattr(tracking, "factor_above", lambda H, shift: calls.append(1))
    for _ in range(6):
        H = run.step()
        check(tracker.update(H), H)
    assert not calls


def test_tracker_survives_abrupt_changes() -> None:
    tracker = SmallestEigenvalue()
    run = Training(260, 260, 500)
    for _ in range(3):
        H = run.step()
        check(tracker.update(H), H)
    other = Training(260, 130, 700, seed=5)  # an unrelated matrix
    for _ in range(3):
        H = other.step()
        check(tracker.update(H), H)
    for H in (np.diag(np.arange(260.0) - 5), np.diag(np.arange(260.0)[::-1] - 7), np.eye(260)):
        check(tracker.update(H), H)


def test_tracker_sees_an_eigenvalue_that_its_block_cannot_see() -> None:
    """A new smallest eigenvector exactly orthogonal to everything tracked: only the probes can notice it."""
    n = 250
    diagonal = 1.0 + np.arange(n) / n
    tracker = SmallestEigenvalue()
    for k in range(4):
        H = np.diag(diagonal + 1e-5 * k)
        check(tracker.update(H), H)
    diagonal[-1] = 0.25
    check(tracker.update(np.diag(diagonal)), np.diag(diagonal))


@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")  # an even circle
def test_tracker_with_a_null_space() -> None:
    angles = 2 * np.pi * np.arange(256) / 256
    H = fastntk.limit_gram(np.column_stack([np.cos(angles), np.sin(angles)]))  # nullity 126
    tracker = SmallestEigenvalue()
    for k in range(4):
        found = tracker.update((1 + 1e-3 * k) * H)
        assert abs(found) <= found.residual_bound <= 1e-9
    run = Training(240, 6, 400)
    run.X[100:140] = run.X[:40]  # duplicates
    for _ in range(5):
        found = SmallestEigenvalue().update(run.step())
        assert abs(found) <= found.residual_bound <= 1e-9


def test_tracker_with_more_samples_than_dimensions() -> None:
    run, tracker = Training(400, 5, 3000), SmallestEigenvalue()
    for _ in range(6):
        H = run.step()
        check(tracker.update(H), H)


def test_tracker_accepts_an_updated_buffer_and_keeps_no_reference() -> None:
    run, tracker = Training(220, 220, 400), SmallestEigenvalue()
    buffer = run.gram()
    first = tracker.update(buffer)
    vector = first.vector.copy()
    for _ in range(3):
        buffer[...] = run.step()
        check(tracker.update(buffer), buffer)
    assert np.array_equal(first.vector, vector)


def test_iterative_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "DENSE", 200)
    monkeypatch.setattr("fastntk.spectra.extremes.DENSE", 200)
    for H in (Training(300, 300, 500).gram(), symmetric(300), Training(300, 4, 500).gram()):
        check(lambda_min(H), H)
        check(SmallestEigenvalue().update(H), H)
        assert lambda_max(H) == pytest.approx(np.linalg.eigvalsh(H)[-1], rel=1e-9)
        assert np.isfinite(lambda_min(H).lower_bound)


@pytest.mark.parametrize("n", [1, 2, 5, 17, 100, 300])
def test_spectral_norm(n: int) -> None:
    A, B = symmetric(n), symmetric(n, seed=1)
    found = spectral_norm(A, B)
    exact = np.linalg.norm(A - B, 2)
    assert found == pytest.approx(exact, rel=1e-9)
    assert found <= exact * (1 + 1e-13)
    assert found.residual_bound <= 2e-6 * exact
    assert spectral_norm(A) == pytest.approx(np.linalg.norm(A, 2), rel=1e-9)
    assert spectral_norm(A, A) == 0.0


@pytest.mark.parametrize(("n", "d"), [(40, 10), (300, 300)])
def test_spectral_norm_follows_a_run(n: int, d: int) -> None:
    run, tracker = Training(n, d, 500), SpectralNorm()
    initial = run.gram()
    assert tracker.update(initial, initial) == 0.0
    for _ in range(6):
        H = run.step()
        found = tracker.update(H, initial)
        exact = np.linalg.norm(H - initial, 2)
        assert exact * (1 - 1e-4) <= found <= exact * (1 + 1e-12)
        assert found.residual_bound <= 1.01e-3 * found
    jump = symmetric(n, seed=9)
    assert tracker.update(jump, initial) == pytest.approx(np.linalg.norm(jump - initial, 2), rel=1e-3)


def test_trackers_are_reproducible() -> None:
    H = [Training(250, 250, 400).gram(), Training(250, 250, 400, seed=1).gram()]
    values = []
    for _ in range(2):
        smallest, norm = SmallestEigenvalue(seed=3), SpectralNorm(seed=3)
        values.append([(float(smallest.update(h)), float(norm.update(h, H[0]))) for h in H])
    assert values[0] == values[1]


def test_spectral_norm_sees_both_ends_of_the_spectrum() -> None:
    """A search that follows one end only stays there when the other end becomes the larger one."""
    rng = np.random.default_rng(5)
    basis = np.linalg.qr(rng.standard_normal((300, 300)))[0]
    bulk = rng.uniform(-0.9, 0.9, 300)
    tracker = SpectralNorm()
    for low, high in [(-1.0, 1.05), (-1.02, 1.03), (-1.05, 1.0), (-1.2, 0.98)]:
        values = bulk.copy()
        values[:2] = low, high
        difference = (basis * values) @ basis.T
        difference = (difference + difference.T) / 2
        assert float(tracker.update(difference, np.zeros((300, 300)))) == pytest.approx(
            max(-low, high), rel=1e-5
        )
