"""The limiting kernel where its values are known in another way: closed forms, circles, published numbers, sampling."""

import math

import numpy as np
import pytest

import fastntk
from fastntk.kernels.cpu import angles
from fastntk.spectra import lambda_max
from tests.matrices.limit_cases import CASES, LAYERS, points


def circle(n: int) -> np.ndarray:
    angles = 2 * np.pi * np.arange(n) / n
    return np.column_stack([np.cos(angles), np.sin(angles)])


def at_angle(theta: float) -> np.ndarray:
    return np.array([[1.0, 0.0], [math.cos(theta), math.sin(theta)]])


def long_double_limit(rho: float, layers: str, depth: int) -> float:
    """The recursion as it is written, in extended precision."""
    pi = np.longdouble("3.14159265358979323846264338327950288")
    r = t = np.longdouble(rho)
    factor = np.longdouble(1)
    for _ in range(depth):
        factor /= 2
        kappa_0 = (pi - np.arccos(r)) / pi
        first = t * kappa_0
        r = (np.sqrt(1 - r * r) + r * (pi - np.arccos(r))) / pi
        t = r + first
    return float(factor * {"first": first, "second": r, "both": t}[layers])


@pytest.mark.parametrize(("layers", "depth"), CASES)
def test_profile_against_extended_precision(layers: str, depth: int) -> None:
    rho = np.concatenate([np.linspace(-1, 1, 501), np.cos(np.geomspace(1e-3, 1, 50))])
    expected = [long_double_limit(value, layers, depth) for value in rho]
    found = fastntk.limit_profile(rho, layers, depth)
    np.testing.assert_allclose(found, expected, rtol=2e-15 * depth, atol=1e-16)


@pytest.mark.parametrize(
    ("degrees", "low", "high"),
    [(60, 1 / 3, 2 / 3), (90, 1 / 2, 1 / 2), (120, 5 / 12, 7 / 12), (180, 1 / 2, 1 / 2)],
)
@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")  # 180 degrees
def test_two_points(degrees: float, low: float, high: float) -> None:
    eigenvalues = np.linalg.eigvalsh(fastntk.limit_gram(at_angle(math.radians(degrees))))
    np.testing.assert_allclose(eigenvalues, [low, high], rtol=0, atol=1e-14)


def exact_two_point_minimum(theta: float) -> float:
    """(1 - cos t (pi - t) / pi) / 2, written without cancellation."""
    return (math.sin(theta / 2) ** 2 * 2 + math.cos(theta) * theta / math.pi) / 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("theta", [1e-2, 1e-3, 1e-4])
def test_nearly_parallel_points_keep_their_smallest_eigenvalue(theta: float, dtype: str) -> None:
    X = at_angle(theta).astype(dtype)
    H = fastntk.limit_gram(X)
    # what the rounding of the input itself may change, and the rounding of H
    allowed = {"float32": 1e-7, "float64": 1e-15}[dtype]
    assert abs(np.linalg.eigvalsh(H)[0] - exact_two_point_minimum(theta)) <= allowed
    if theta == 1e-4:
        assert f"{np.linalg.eigvalsh(H)[0]:.2e}" == "1.59e-05"


@pytest.mark.parametrize("theta", [0.0, 1e-9, 1e-6, 1e-4, 0.01, 0.0141, 0.0142, 0.1, 1.0472, 1.0473, 1.5708])
def test_scalar_function_near_both_ends(theta: float) -> None:
    x = np.array([[1.0, 0.0]])
    for sign in (1.0, -1.0):
        z = sign * np.array([[math.cos(theta), math.sin(theta)]])
        angle = theta if sign > 0 else math.pi - theta
        gap = math.pi - theta if sign > 0 else theta
        first = math.cos(angle) * gap / (2 * math.pi)
        second = first + math.sin(theta) / (2 * math.pi)
        assert fastntk.limit_gram(x, z)[0, 0] == pytest.approx(first, rel=1e-12, abs=1e-16)
        assert fastntk.limit_gram(x, z, layers="second")[0, 0] == pytest.approx(second, rel=1e-12, abs=1e-16)


@pytest.mark.parametrize(
    ("n", "low", "high"),
    [(5, 0.300000000000, 0.688196601125), (7, 0.067934475748, None), (101, 0.002481247770, 12.627476445715)],
)
def test_odd_circle(n: int, low: float, high: float | None) -> None:
    eigenvalues = np.linalg.eigvalsh(fastntk.limit_gram(circle(n)))
    assert abs(eigenvalues[0] - low) < 2e-12
    if high is not None:
        assert abs(eigenvalues[-1] - high) < 2e-12


@pytest.mark.parametrize("n", [8, 10, 64, 202])
@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")
def test_even_circle(n: int) -> None:
    eigenvalues = np.linalg.eigvalsh(fastntk.limit_gram(circle(n)))
    assert np.sum(np.abs(eigenvalues) < 1e-12) == n // 2 - 2
    assert np.sum(np.abs(eigenvalues - n / 8) < 1e-12 * n) == 2


def test_orthonormal_points() -> None:
    assert np.array_equal(fastntk.limit_gram(np.eye(300)), np.eye(300) / 2)


def test_published_spectrum_at_n_1000() -> None:
    X = points(1000, 1000)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    H = fastntk.limit_gram(X)
    least, largest = fastntk.lambda_min(H), lambda_max(H)
    assert round(float(least), 6) == 0.246063
    assert round(float(largest), 6) == 1.246077


@pytest.mark.parametrize("layers", LAYERS)
def test_monte_carlo(layers: str) -> None:
    X, Z, width = points(4, 3), points(3, 3, seed=1), 200_000
    W = np.random.default_rng(2).standard_normal((width, 3))
    left, right = X @ W.T, Z @ W.T
    samples = np.zeros((4, 3, width))
    if layers != "second":
        samples += (X @ Z.T)[:, :, None] * ((left >= 0)[:, None] & (right >= 0)[None])
    if layers != "first":
        samples += np.maximum(left, 0)[:, None] * np.maximum(right, 0)[None]
    error = np.abs(samples.mean(axis=2) - fastntk.limit_gram(X, Z, layers=layers))
    assert (error <= 5 * samples.std(axis=2) / math.sqrt(width) + 1e-12).all()


def test_polynomials_have_their_stated_error() -> None:
    """Coefficients alone, evaluated in extended precision: the largest relative errors in the kernel's header."""
    t = np.linspace(1e-3, 1, 20001).astype(np.longdouble)
    pi = np.longdouble("3.14159265358979323846264338327950288")
    phi = np.arccos(1 - t)
    exact = {
        "ANGLE": phi / (pi * np.sqrt(t)),
        "MOMENT": (np.sin(phi) - phi * np.cos(phi)) / (pi * t * np.sqrt(t)),
    }
    for name, bound in (("ANGLE", {32: 4.7e-8, 64: 1.3e-16}), ("MOMENT", {32: 4.7e-8, 64: 1.3e-16})):
        for bits, coefficients in getattr(angles, name).items():
            value = np.polynomial.polynomial.polyval(t, np.array(coefficients, dtype=np.longdouble))
            assert float(np.abs(value / exact[name] - 1).max()) <= bound[bits]
