"""The reference's infinite-width limit against closed forms, known spectra and random weights."""

import math

import numpy as np
import pytest

from fastntk import reference as ref


def circle(n):
    angles = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def pair(angle):
    return np.array([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])


@pytest.mark.parametrize(
    ("degrees", "eigenvalues"),
    [(60, (1 / 3, 2 / 3)), (90, (1 / 2, 1 / 2)), (120, (5 / 12, 7 / 12)), (180, (1 / 2, 1 / 2))],
)
def test_limit_of_two_points(degrees, eigenvalues):
    H = ref.limit_gram(pair(math.radians(degrees)))
    np.testing.assert_allclose(np.linalg.eigvalsh(H), eigenvalues, rtol=1e-14)


def test_limit_of_orthonormal_points_is_half_the_identity():
    assert np.array_equal(ref.limit_gram(np.eye(6)), np.eye(6) / 2)


@pytest.mark.parametrize(
    ("n", "smallest", "largest"),
    [(5, 0.3, 0.688196601125), (7, 0.067934475748, None), (101, 0.002481247770, 12.627476445715)],
)
def test_limit_on_an_odd_circle(n, smallest, largest):
    eigenvalues = np.linalg.eigvalsh(ref.limit_gram(circle(n)))
    assert eigenvalues[0] == pytest.approx(smallest, abs=1e-12)
    if largest is not None:
        assert eigenvalues[-1] == pytest.approx(largest, abs=1e-11)


@pytest.mark.parametrize("n", [8, 10, 16])
def test_limit_on_an_even_circle_has_antipodes_in_its_null_space(n):
    eigenvalues = np.linalg.eigvalsh(ref.limit_gram(circle(n)))
    assert int((np.abs(eigenvalues) < 1e-14).sum()) == n // 2 - 2
    assert int((np.abs(eigenvalues - n / 8) < 1e-13).sum()) == 2


@pytest.mark.parametrize("angle", [1e-2, 1e-4, 1e-6, 1e-8, 1e-12])
def test_limit_keeps_tiny_angles(angle):
    """The difference of two unit points at angle t gives lambda_min = t/(2 pi) + O(t^2)."""
    H = ref.limit_gram(pair(angle))
    exact = 0.5 - math.cos(angle) * (math.pi - angle) / (2 * math.pi)
    # The entries near 1/2 hold 1e-16, so that is the absolute accuracy of any eigenvalue.
    assert ref.lambda_min(H) == pytest.approx(exact, abs=3e-16)
    if angle == 1e-4:
        assert f"{ref.lambda_min(H):.3g}" == "1.59e-05"


def test_limit_near_opposite_points_is_relatively_accurate():
    gap = 1e-6
    H = ref.limit_gram(pair(math.pi - gap))
    assert H[0, 1] == pytest.approx(-math.cos(gap) * gap / (2 * math.pi), rel=1e-9)
    assert ref.limit_gram(np.array([[3.0, 4.0], [-3.0, -4.0]]))[0, 1] == 0


@pytest.mark.parametrize("layers", ["first", "second", "both"])
def test_limit_is_symmetric_with_an_exact_diagonal(layers):
    X = np.random.default_rng(3).standard_normal((33, 5))
    X[4] = X[3] * (1 + 1e-9)
    X[7] = 0
    H = ref.limit_gram(X, layers=layers)
    assert np.array_equal(H, H.T)
    squares = np.einsum("ij,ij->i", X, X)
    assert np.array_equal(np.diag(H), squares if layers == "both" else squares / 2)
    assert not H[7].any()
    np.testing.assert_allclose(ref.limit_gram(X, X, layers), H, rtol=1e-13, atol=1e-15)
    assert ref.limit_gram(X, X[:2], layers).shape == (33, 2)


def test_both_is_the_sum():
    X = np.random.default_rng(4).standard_normal((9, 3))
    parts = ref.limit_gram(X, layers="first") + ref.limit_gram(X, layers="second")
    np.testing.assert_allclose(ref.limit_gram(X, layers="both"), parts, rtol=1e-15)


def test_strong_limit_equals_the_limit():
    X = np.random.default_rng(5).standard_normal((40, 20))
    np.testing.assert_allclose(ref.strong_limit_gram(X), ref.limit_gram(X), rtol=1e-12, atol=1e-14)


def test_limit_of_a_thousand_random_points():
    X = np.random.default_rng(0).standard_normal((1000, 1000))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(ref.limit_gram(X))
    assert eigenvalues[0] == pytest.approx(0.246063, abs=5e-7)
    assert eigenvalues[-1] == pytest.approx(1.246077, abs=5e-7)


def test_finite_width_approaches_the_limit():
    """Counts and flips at random weights are binomial; six standard deviations bound every pair."""
    m, d = 200_000, 3
    X = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 2.0], [-0.8, 0.6, 0]])
    W = np.random.default_rng(6).standard_normal((m, d))
    masks = ref.activation_masks(X, W)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    theta = np.arccos(np.clip(unit @ unit.T, -1, 1))
    p = (math.pi - theta) / (2 * math.pi)
    assert np.all(np.abs(ref.strong_coactivation_counts(masks) - m * p) <= 6 * np.sqrt(m * p * (1 - p)) + 1)
    for i in range(4):
        for j in range(4):
            q = theta[i, j] / math.pi
            flips = ref.flip_count(masks[i : i + 1], masks[j : j + 1])
            assert abs(flips - m * q) <= 6 * math.sqrt(m * q * (1 - q)) + 1e-9
    np.testing.assert_allclose(ref.second_gram(X, W), ref.limit_gram(X, layers="second"), atol=0.06)
