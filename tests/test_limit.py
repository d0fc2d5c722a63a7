import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastntk
from fastntk import reference
from fastntk.kernels.cpu.limit import TILE
from fastntk.spectra import lambda_max

LAYERS = ("first", "second", "both")


def points(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def circle(n: int) -> np.ndarray:
    angles = 2 * np.pi * np.arange(n) / n
    return np.column_stack([np.cos(angles), np.sin(angles)])


def at_angle(theta: float) -> np.ndarray:
    return np.array([[1.0, 0.0], [math.cos(theta), math.sin(theta)]])


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize(
    ("n", "d", "k"),
    [
        (1, 1, 1),
        (2, 1, 3),
        (7, 3, 1),
        (63, 2, 65),
        (TILE, 5, TILE + 1),
        (TILE + 1, 64, 1),
        (2 * TILE + 9, 17, 30),
    ],
)
def test_matches_reference(n: int, d: int, k: int, layers: str) -> None:
    X, Z = points(n, d), points(k, d, seed=1)
    square = fastntk.limit_gram(X, layers=layers)
    cross = fastntk.limit_gram(X, Z, layers=layers)
    size = np.linalg.norm(X, axis=1)
    scale, cross_scale = np.outer(size, size), np.outer(size, np.linalg.norm(Z, axis=1))
    assert np.array_equal(square, square.T)
    assert (np.abs(square - reference.limit_gram(X, layers=layers)) <= 2e-14 * scale).all()
    assert (np.abs(cross - reference.limit_gram(X, Z, layers=layers)) <= 2e-14 * cross_scale).all()
    assert (np.abs(fastntk.limit_gram(X, X, layers=layers) - square) <= 2e-14 * scale).all()


def test_diagonal_is_exact() -> None:
    X = points(TILE + 3, 9)
    squares = np.einsum("ij,ij->i", X, X)
    for layers, share in (("first", 0.5), ("second", 0.5), ("both", 1.0)):
        assert np.array_equal(np.diag(fastntk.limit_gram(X, layers=layers)), share * squares)


@pytest.mark.parametrize(
    ("degrees", "low", "high"),
    [(60, 1 / 3, 2 / 3), (90, 1 / 2, 1 / 2), (120, 5 / 12, 7 / 12), (180, 1 / 2, 1 / 2)],
)
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


def test_duplicates_and_antipodes() -> None:
    X = points(5, 40)
    H = fastntk.limit_gram(np.concatenate([X, X, -X]))
    copies, opposite = H[:5, 5:10], H[:5, 10:]
    assert np.array_equal(np.diag(copies), np.diag(H)[:5])
    assert np.array_equal(np.diag(opposite), np.zeros(5))
    assert not np.signbit(np.diag(opposite)).any()


def test_zero_rows_give_zeros() -> None:
    X = np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]])
    for layers in LAYERS:
        H = fastntk.limit_gram(X, layers=layers)
        assert np.array_equal(H[0], np.zeros(3))
        assert np.array_equal(fastntk.limit_gram(X, X, layers=layers)[:, 0], np.zeros(3))
        assert H[1, 1] > 0


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


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 12),
    d=st.integers(1, 6),
    seed=st.integers(0, 2**31),
    power=st.floats(-20, 20),
    layers=st.sampled_from(LAYERS),
)
def test_scaling_rotation_and_definiteness(n: int, d: int, seed: int, power: float, layers: str) -> None:
    X = points(n, d, seed)
    H = fastntk.limit_gram(X, layers=layers)
    scale = 10.0**power
    size = np.abs(np.diag(H)).max()
    np.testing.assert_allclose(
        fastntk.limit_gram(scale * X, layers=layers), scale**2 * H, atol=2e-14 * scale**2 * size
    )
    turned = X @ np.linalg.qr(points(d, d, seed + 1))[0]
    np.testing.assert_allclose(fastntk.limit_gram(turned, layers=layers), H, atol=2e-13 * size)
    assert np.linalg.eigvalsh(H)[0] >= -1e-13 * size * n


def test_result_does_not_depend_on_input_or_output_precision() -> None:
    X = points(TILE + 5, 30).astype(np.float32)
    H = fastntk.limit_gram(X)
    assert np.array_equal(H, fastntk.limit_gram(X.astype(np.float64)))
    single = fastntk.limit_gram(X, dtype="float32")
    assert single.dtype == np.float32
    assert np.array_equal(single, H.astype(np.float32))


def test_out(tmp_path: Path) -> None:
    X, Z = points(6, 4), points(3, 4)
    out = np.empty((6, 3))
    assert fastntk.limit_gram(X, Z, out=out) is out
    assert np.array_equal(out, fastntk.limit_gram(X, Z))
    mapped = np.memmap(tmp_path / "H", dtype=np.float32, mode="w+", shape=(6, 6))
    assert fastntk.limit_gram(X, dtype="float32", out=mapped) is mapped
    assert np.array_equal(mapped, fastntk.limit_gram(X, dtype="float32"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": np.empty((0, 2))}, ValueError, "X must not be empty"),
        ({"X": [[1.0, math.nan]]}, ValueError, "X must be finite"),
        ({"X": [1.0, 2.0]}, ValueError, "X must have 2 dimension"),
        ({"X": [["a"]]}, TypeError, "X must be real numbers"),
        ({"X": [[1e200, 0.0]]}, ValueError, "X must have rows whose squared length"),
        ({"X": [[1.0]], "Z": [[1e200]]}, ValueError, "Z must have rows whose squared length"),
        ({"X": [[1.0]], "Z": [[1.0, 2.0]]}, ValueError, "X and Z must have the same number of columns"),
        ({"X": [[1.0]], "layers": "all"}, ValueError, "layers must be one of"),
        ({"X": [[1.0]], "depth": 2}, ValueError, "only depth available"),
        ({"X": [[1.0]], "depth": 0}, ValueError, "depth must be at least 1"),
        ({"X": [[1.0]], "dtype": "int32"}, ValueError, "dtype must be"),
        ({"X": [[1.0]], "out": [[0.0]]}, TypeError, "out must be a NumPy array"),
        ({"X": [[1.0]], "out": np.empty((2, 1))}, ValueError, "out must have shape"),
        ({"X": [[1.0]], "out": np.empty((1, 1), np.float32)}, ValueError, "out must have shape"),
        ({"X": np.eye(2), "out": np.empty((2, 2)).T}, ValueError, "C-contiguous"),
    ],
)
def test_bad_arguments(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fastntk.limit_gram(**arguments)


def test_result_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastntk.memory.available_bytes", lambda: 1000)
    with pytest.raises(fastntk.MemoryLimitError, match="the 20 x 20 limit matrix"):
        fastntk.limit_gram(points(20, 2))


def test_does_not_depend_on_the_number_of_threads() -> None:
    import numba

    X = points(3 * TILE, 20)
    expected = fastntk.limit_gram(X)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert np.array_equal(fastntk.limit_gram(X), expected)
    finally:
        numba.set_num_threads(before)
