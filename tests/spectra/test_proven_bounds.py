"""Whatever is called a bound holds, checked in exact arithmetic on matrices whose spectra are known exactly."""

import itertools
import warnings
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastntk
from fastntk.matrices.intervals import clopper_pearson
from fastntk.spectra import SmallestEigenvalue, SpectralNorm, lambda_max, lambda_min, spectral_norm
from fastntk.spectra.eigenvalue import factor_above

SUBNORMAL = Fraction(1, 2**1010)  # widths below are of no interest
SCALES = (-1060, -500, 0, 1000)  # powers of two: from subnormal numbers to 1e301


def hadamard(n: int) -> np.ndarray:
    """Sylvester's: symmetric, entries +-1, ``S S = n I``."""
    S = np.ones((1, 1))
    while len(S) < n:
        S = np.block([[S, S], [S, -S]])
    return S


def with_spectrum(values: np.ndarray) -> np.ndarray:
    """``S diag(values) S / n``: every entry is exact for dyadic values of few bits."""
    S = hadamard(len(values))
    return (S * values) @ S / len(values)


def spectra(n: int) -> dict[str, np.ndarray]:
    steps = np.arange(n)
    return {
        "integers": steps % 7 - 2.0,
        "one": np.full(n, 3.0),
        "zero": np.zeros(n),
        "clustered": 1.0 + 2.0**-30 * (steps % 3),
        "graded": 2.0 ** -(steps % 41),
        "hidden": np.where(steps == n - 1, -(2.0**-20), 4.0),
        "singular": (steps % 2).astype(float),
    }


CASES = [(n, name) for n in (1, 2, 32, 256) for name in spectra(1)]
FINE = ("clustered", "graded", "hidden")  # whose entries are not exact as subnormal numbers


def exact(value: float) -> Fraction:
    return Fraction(float(value))


@pytest.mark.parametrize(
    ("n", "name", "power"),
    [(*case, power) for case in CASES for power in SCALES if power > -1000 or case[1] not in FINE],
)
def test_extreme_eigenvalues_and_norms(n: int, name: str, power: int) -> None:
    values = spectra(n)[name]
    H = np.ldexp(with_spectrum(values), power)
    scaled = [exact(value) * Fraction(2) ** power for value in values]
    least, most, norm = min(scaled), max(scaled), max(map(abs, scaled))
    size = max(norm, SUBNORMAL)
    for found in (lambda_min(H), SmallestEigenvalue().update(H)):
        assert exact(found.lower_bound) <= least <= exact(found.upper_bound)
        assert min(abs(exact(found) - value) for value in scaled) <= exact(found.residual_bound)
    width = exact(lambda_min(H).upper_bound) - exact(lambda_min(H).lower_bound)
    assert width <= size * Fraction(n, 10**12) + SUBNORMAL
    largest = lambda_max(H)
    assert exact(largest.lower_bound) <= most <= exact(largest.upper_bound)
    whole = spectral_norm(H)
    assert exact(whole.lower_bound) <= norm <= exact(whole.upper_bound)
    assert exact(whole.upper_bound) - exact(whole.lower_bound) <= size / 10**6 + SUBNORMAL
    other = np.ldexp(with_spectrum(np.roll(values, 1)), power)
    change = max(abs(a - b) for a, b in zip(scaled, [scaled[-1], *scaled[:-1]], strict=True))
    tracked = SpectralNorm().update(H, other)
    assert exact(tracked.lower_bound) <= change <= exact(tracked.upper_bound)
    assert exact(tracked) >= change * Fraction(999, 1000) - SUBNORMAL


@pytest.mark.parametrize(("n", "name"), CASES)
@pytest.mark.parametrize("power", [-1000, 0])
@pytest.mark.parametrize("which", ["smallest", "largest", "both"])
def test_pairs(n: int, name: str, power: int, which: str) -> None:
    values = spectra(n)[name]
    found = fastntk.spectrum(np.ldexp(with_spectrum(values), power), which=which)
    ordered = sorted(exact(value) * Fraction(2) ** power for value in values)
    count = len(found.values)
    assert count == min(n, 12 if which == "both" else 6)
    places = {"smallest": range(count), "largest": range(n - count, n)}.get(
        which, [*range(count // 2), *range(n - count // 2, n)] if count < n else range(n)
    )
    for place, value, bound in zip(places, found.values, found.residual_bounds, strict=True):
        assert abs(exact(value) - ordered[place]) <= exact(found.order_bound)
        assert min(abs(exact(value) - one) for one in ordered) <= exact(bound)


@pytest.mark.parametrize("n", [1, 2, 4, 64, 256])
@pytest.mark.parametrize("power", [-1000, 0, 500])
def test_condition_number_and_complexity(n: int, power: int) -> None:
    values = 1.0 + 2.0 ** -(np.arange(n) % 20)
    y = np.random.default_rng(0).integers(-8, 9, n).astype(float)
    H = np.ldexp(with_spectrum(values), power)
    condition = fastntk.condition_number(H)
    ratio = exact(values.max()) / exact(values.min())
    assert exact(condition.lower) <= ratio <= exact(condition.upper)
    parts = [exact(part) ** 2 for part in hadamard(n) @ y]
    form = (
        sum(part / (n * exact(value)) for part, value in zip(parts, values, strict=True))
        / Fraction(2) ** power
    )
    for labels in (0, -400, 400):
        found = fastntk.generalization_complexity(H, np.ldexp(y, labels))
        square = 2 * form * Fraction(4) ** labels / n
        assert exact(found.lower) ** 2 <= square <= exact(found.upper) ** 2
        assert found.lower <= found <= found.upper <= found.lower * (1 + 1e-9)


def test_the_reports_of_bounds_that_were_nan_and_of_small_matrices() -> None:
    found = fastntk.generalization_complexity([[1e-300]], [1.0])
    assert found.lower <= np.sqrt(2e300) <= found.upper
    assert found == pytest.approx(np.sqrt(2e300), rel=1e-12)
    found = fastntk.generalization_complexity(1e-300 * np.eye(3), np.zeros(3))
    assert (found.lower, float(found), found.upper) == (0.0, 0.0, 0.0)
    for n in range(1, 8):
        assert len(fastntk.spectrum(np.eye(n)).values) == min(n, 6)
    with pytest.raises(ValueError, match=r"k must be at most the number of rows of H \(3\), got 4"):
        fastntk.spectrum(np.eye(3), 4)


@pytest.mark.parametrize("cond", [1e2, 1e8, 1e14])
def test_residuals_of_kernel_regression_are_those_of_its_coefficients(cond: float) -> None:
    """Not those that the recurrence carries along, which go on falling when rounding stops the true ones."""
    n = 64
    values = np.geomspace(1.0, 1.0 / cond, n)
    H = with_spectrum(values)
    H = (H + H.T) / 2
    y = np.random.default_rng(1).standard_normal((n, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastntk.ConvergenceWarning)
        found = fastntk.kernel_regression(H, y, rtol=1e-15, maxiter=500)
    wide = y.astype(np.longdouble) - H.astype(np.longdouble) @ found.coefficients.astype(np.longdouble)
    sizes = np.linalg.norm(found.coefficients, axis=0)
    rounding = (n + 8) * 2.2e-16 * (np.linalg.norm(H) * sizes + np.linalg.norm(y, axis=0))
    assert (np.abs(np.sqrt((wide**2).sum(axis=0)) - found.residual_norms) <= rounding).all()


@pytest.mark.parametrize("level", [0.5, 0.95, 1 - 1e-9])
@pytest.mark.parametrize("m", [1, 2, 7, 40])
def test_intervals_cover_in_exact_arithmetic(m: int, level: float) -> None:
    lower, upper = clopper_pearson(np.arange(m + 1), m, level)
    ends = sorted({*lower.tolist(), *upper.tolist()})
    inside = [(a + b) / 2 for a, b in itertools.pairwise(ends)]
    for p in map(exact, [*ends, *inside, *np.linspace(0, 1, 33)]):
        covered = sum(
            comb(m, c) * p**c * (1 - p) ** (m - c)
            for c in range(m + 1)
            if exact(lower[c]) <= p <= exact(upper[c])
        )
        assert covered >= exact(level)


@settings(max_examples=16, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    n=st.sampled_from([193, 200, 256]),
    kind=st.sampled_from(["drift", "rank one", "by turns", "hidden", "jump", "degenerate", "scale", "still"]),
    size=st.sampled_from([1e-8, 1e-4, 1e-2, 0.3]),
)
def test_every_bound_along_a_run_of_matrices(seed: int, n: int, kind: str, size: float) -> None:
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0] if seed % 2 else np.eye(n)
    values = np.sort(rng.uniform(0.5, 3.0, n))
    if kind == "degenerate":
        values[: rng.integers(2, 40)] = values[0]
    tracker = SmallestEigenvalue()
    for k in range(8):
        now = values.copy()
        if kind == "drift":
            now *= 1.0 + size * k * rng.uniform(-0.1, 0.1, n)
        elif kind == "by turns" and k % 2:
            now[n // 2] = values[0] * rng.choice([0.1, 0.5, -1.0, 0.7])
        elif kind == "hidden" and k >= 3:
            now[-1] = values[0] - 1.5
        elif kind == "jump" and k == 4:
            now = rng.standard_normal(n)
        elif kind == "scale":
            now *= 10.0 ** rng.integers(-150, 150)
        H = (basis * now) @ basis.T
        if kind == "rank one":
            direction = rng.standard_normal(n)
            H -= size * np.outer(direction, direction) / (direction @ direction)
        H = (H + H.T) / 2
        found = tracker.update(H)
        least = float(np.linalg.eigvalsh(H)[0])
        rounding = 1e-14 * float(np.abs(H).max()) * n
        assert found.lower_bound <= least + rounding
        assert least - rounding <= found.upper_bound
        assert found - found.lower_bound <= 0.2 * abs(found) + 100 * rounding


@pytest.mark.parametrize("count", [1, 8, 250])
def test_a_part_of_a_spectrum_that_lapack_does_not_find(count: int) -> None:
    """Its routine for a part returns no pairs at all of the identity less a matrix of rank one."""
    H = with_spectrum(spectra(256)["hidden"])
    for which in ("smallest", "largest", "both"):
        found = fastntk.spectrum(H, count, which)
        assert len(found.values) == min(256, count * (2 if which == "both" else 1))
        assert found.residual_bounds.max() < 1e-9


def test_the_reported_jump_out_of_sight() -> None:
    values = np.arange(1.0, 301.0)
    tracker = SmallestEigenvalue()
    assert tracker.update(np.diag(values)) == pytest.approx(1.0)
    values[250] = -100.0
    found = tracker.update(np.diag(values))
    assert found == pytest.approx(-100.0)
    assert found.lower_bound <= -100.0


def test_the_bound_decides_what_it_is_asked() -> None:
    """A change that leaves the slack, but not the question, open is looked at again."""
    values = np.linspace(1.0, 2.0, 256)
    H, tracker = with_spectrum(values), SmallestEigenvalue()
    tracker.update(H)
    moved = H + 0.004 * with_spectrum(np.linspace(0.0, 1.0, 256))
    assert tracker.update(moved).lower_bound < 0.999
    assert tracker.update(moved, decide=0.999).lower_bound >= 0.999
    assert tracker.update(moved, decide=1.001).value < 1.001


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["one", "graded", "clustered", "singular", "zero"])
def test_a_factorisation_beyond_the_spectrum_proves_nothing_wrong(name: str, kind: type) -> None:
    """Rounding lets shifts pass that lie above the smallest eigenvalue: their bounds must not."""
    values = spectra(64)[name]
    H, least = with_spectrum(values), float(values.min())
    for step in np.geomspace(1e-18, 1e-4, 57):
        factored = factor_above(H, least + step * max(1.0, float(values.max())), kind)
        assert factored is None or exact(factored[1]) <= exact(least)


def test_a_run_asks_whether_half_of_lambda_0_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    update = SmallestEigenvalue.update
    monkeypatch.setattr(
        SmallestEigenvalue,
        "update",
        lambda self, H, decide=None: asked.append(decide) or update(self, H, decide),
    )
    X, y = fastntk.datasets.sphere(20, 5, seed=0)
    run = fastntk.train(X, y, width=30, steps=2, lr=0.1, metrics="lambda_min")
    assert asked == [
        None,
        *3 * [run.provenance["limit"]["lambda_0"] / 2],
    ]  # the limit is found beside the start


@pytest.mark.parametrize(("n", "lr"), [(60, 0.1), (240, 0.3)])
def test_bounds_of_a_training_run(n: int, lr: float) -> None:
    X, y = fastntk.datasets.sphere(n, n, seed=1)
    run = fastntk.train(X, y, width=300, steps=12, lr=lr, metrics="all", snapshots=range(13))
    initial, limit = run.snapshots[0], fastntk.limit_gram(X)
    for k, H in run.snapshots.items():
        least = np.linalg.eigvalsh(H)[0]
        assert run.lambda_min_lower[k] <= least + 1e-14
        assert abs(run.lambda_min[k] - least) <= min(run.lambda_min_residual[k], 1e-6 * least) + 1e-14
        for series, other in (("gram_change", initial), ("gram_limit_distance", limit)):
            assert run.series[series][k] == pytest.approx(np.linalg.norm(H - other, 2), rel=1e-4)
        half = run.provenance["limit"]["lambda_0"] / 2
        assert run.lambda_min_lower[k] >= half or run.lambda_min[k] < half * (1 + 1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 9},
        {"dynamics": "flow", "t_final": 2.0, "times": [1.0]},
        {"layers": "second", "lr": 0.01, "steps": 3},
    ],
)
def test_the_last_bound_of_a_run_is_tight(options: dict) -> None:
    """Along the run a bound may be a fifth below its value; in exact arithmetic it never passes the eigenvalue."""
    X, y = fastntk.datasets.sphere(200, 200, seed=0)  # beyond what LAPACK proves every time
    run = fastntk.train(X, y, width=500, metrics="lambda_min", **options)
    gap = run.lambda_min - run.lambda_min_lower
    assert (gap >= 0.0).all()
    assert (gap <= 0.2 * run.lambda_min).all()
    assert gap[-1] <= 2e-6 * run.lambda_min[-1]
    assert lambda_min(run.gram()).upper_bound >= run.lambda_min_lower[-1]
