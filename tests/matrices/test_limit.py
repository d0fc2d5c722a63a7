"""The limiting kernel: the reference, its exact parts, blocks, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastntk
from fastntk import reference
from fastntk.matrices.limit import limit_source
from tests.matrices.limit_cases import CASES, LAYERS, points

TILE = 96  # the smallest edge of a tile

ERROR = {
    "float32": 1e-6,
    "float64": 1e-14,
}  # of sqrt(H(x, x) H(z, z)), times the depth: what the documentation promises


def within(
    actual: np.ndarray, expected: np.ndarray, X: np.ndarray, Z: np.ndarray, depth: int, layers: str
) -> bool:
    """Whether the error is what the documentation promises."""
    factor = 0.5**depth * (depth + 1 if layers == "both" else 1)
    size = factor * np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
    return bool((np.abs(actual - expected) <= ERROR[actual.dtype.name] * depth * size).all())


@pytest.mark.parametrize(("layers", "depth"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
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
@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")  # d = 1: all points are parallel
def test_matches_reference(n: int, d: int, k: int, dtype: str, layers: str, depth: int) -> None:
    X, Z = points(n, d).astype(dtype), points(k, d, seed=1).astype(dtype)
    options = {"layers": layers, "depth": depth}
    square = fastntk.limit_gram(X, dtype=dtype, **options)
    cross = fastntk.limit_gram(X, Z, dtype=dtype, **options)
    assert square.dtype == cross.dtype == dtype
    assert np.array_equal(square, square.T)
    assert within(square, reference.limit_gram(X, **options), X, X, depth, layers)
    assert within(cross, reference.limit_gram(X, Z, **options), X, Z, depth, layers)
    assert within(
        fastntk.limit_gram(X, X, dtype=dtype, **options), square.astype(np.float64), X, X, depth, layers
    )


@pytest.mark.parametrize(("layers", "depth"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nearly_parallel_rows_keep_the_promise(
    dtype: str, layers: str, depth: int, rng: np.random.Generator
) -> None:
    X = rng.standard_normal((240, 20))
    X[:80] = X[80:160] * rng.choice([-3.0, -1.0, 1.0, 3.0], (80, 1)) + 10.0 ** -rng.uniform(
        0, 9, (80, 1)
    ) * rng.standard_normal((80, 20))
    H = fastntk.limit_gram(X, layers=layers, depth=depth, dtype=dtype)
    assert within(H, reference.limit_gram(X, layers=layers, depth=depth), X, X, depth, layers)


def test_profile_is_the_kernel_of_unit_rows() -> None:
    angles = np.linspace(0.0, np.pi, 41).reshape(-1, 1)
    X, Z = np.array([[1.0, 0.0]]), np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    for layers, depth in CASES:
        profile = fastntk.limit_profile(np.cos(angles), layers, depth, scale=1.3)
        assert profile.shape == angles.shape
        H = fastntk.limit_gram(X, Z, layers, depth, scale=1.3)
        np.testing.assert_allclose(profile.T, H, rtol=2e-14, atol=2e-15)


@pytest.mark.parametrize(("layers", "depth"), CASES)
def test_scale_multiplies_each_layer(layers: str, depth: int) -> None:
    X, Z = points(9, 4), points(5, 4, seed=1)
    plain = fastntk.limit_gram(X, Z, layers, depth)
    np.testing.assert_allclose(
        fastntk.limit_gram(X, Z, layers, depth, scale=1.7), 1.7 ** (2 * depth) * plain, rtol=1e-14
    )
    squares = np.einsum("ij,ij->i", X, X)
    he = np.diag(fastntk.limit_gram(X, layers=layers, depth=depth, scale=math.sqrt(2)))
    np.testing.assert_allclose(he, squares * (depth + 1 if layers == "both" else 1), rtol=1e-14)


def test_deep_kernel_of_distinct_points_is_positive_definite() -> None:
    """Through 50 layers all cosines approach 1, and what keeps the matrix regular is 1 - cos."""
    X = points(30, 8)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    H = fastntk.limit_gram(X, layers="second", depth=50, scale=math.sqrt(2))
    assert H.min() > 0.9
    assert np.linalg.eigvalsh(H)[0] > 1e-6


def test_diagonal_is_exact() -> None:
    X = points(TILE + 3, 9)
    squares = np.array([math.fsum(row * row) for row in X])
    for layers, depth in CASES:
        expected = 0.5**depth * (depth + 1 if layers == "both" else 1) * squares
        diagonal = np.diag(fastntk.limit_gram(X, layers=layers, depth=depth))
        np.testing.assert_array_almost_equal_nulp(diagonal, expected, nulp=4)
        assert np.array_equal(limit_source(X, layers=layers, depth=depth).diagonal(), diagonal)


def test_length_of_tiny_and_huge_rows() -> None:
    X, Z = points(6, 5), points(4, 5, seed=1)
    for dtype, power in (("float64", 150), ("float32", 18)):
        up, down = X * 10.0**power, Z * 10.0**-power
        H = fastntk.limit_gram(up, down, dtype=dtype)
        np.testing.assert_allclose(
            H, reference.limit_gram(X, Z), rtol=3e-6 if dtype == "float32" else 1e-13, atol=1e-7
        )
    tiny = np.array([[3e-170, 4e-170]])
    np.testing.assert_allclose(
        fastntk.limit_gram(tiny, [[1e150, 0.0]], dtype="float64"), [[1.06e-20]], rtol=2e-2
    )


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 12),
    d=st.integers(1, 6),
    seed=st.integers(0, 2**31),
    power=st.floats(-20, 20),
    layers=st.sampled_from(LAYERS),
)
@pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")
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


def test_result_does_not_depend_on_input_precision() -> None:
    X = points(TILE + 5, 30).astype(np.float32)
    for dtype in ("float32", "float64"):
        H = fastntk.limit_gram(X, dtype=dtype)
        assert np.array_equal(H, fastntk.limit_gram(X.astype(np.float64), dtype=dtype))


def test_blocks_make_up_the_whole() -> None:
    X, Z = points(3 * TILE + 5, 30), points(70, 30, seed=1)
    for source in (limit_source(X, layers="both", depth=2), limit_source(X, Z)):
        n, k = source.shape
        whole, block = np.empty((n, k)), np.empty((101, 40))
        source.fill(slice(0, n), slice(0, k), whole)
        source.fill(slice(150, 251), slice(20, 60), block)
        np.testing.assert_allclose(block, whole[150:251, 20:60], rtol=1e-13, atol=1e-14)
    corner = np.empty((101, 101))
    limit_source(X, layers="both", depth=2).fill(slice(150, 251), slice(150, 251), corner)
    assert np.array_equal(corner, corner.T)


def test_fingerprint_tells_inputs_and_options_apart() -> None:
    X, Z = points(4, 3), points(4, 3, seed=1)
    sources = [
        limit_source(X, *rest)
        for rest in ((), (X,), (Z,), (None, "second"), (None, "both"), (None, "both", 2))
    ]
    sources += [
        limit_source(X, scale=2.0),
        limit_source(X, dtype="float32"),
        limit_source(X.astype(np.float32)),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)
    assert limit_source(X).fingerprint() == limit_source(np.asfortranarray(X)).fingerprint()


def test_out(tmp_path: Path) -> None:
    X, Z = points(6, 4), points(3, 4)
    out = np.empty((6, 3))
    assert fastntk.limit_gram(X, Z, out=out) is out
    assert np.array_equal(out, fastntk.limit_gram(X, Z))
    mapped = np.memmap(tmp_path / "H", dtype=np.float32, mode="w+", shape=(6, 6))
    assert fastntk.limit_gram(X, dtype="float32", out=mapped) is mapped
    assert np.array_equal(mapped, fastntk.limit_gram(X, dtype="float32"))


def test_result_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastntk.base.memory.available_bytes", lambda: 1000)
    with pytest.raises(fastntk.MemoryLimitError, match="20 x 20"):
        fastntk.limit_gram(points(20, 2))


@pytest.mark.parametrize("rho", [1.0000001, -2.0, math.nan, math.inf])
def test_profile_refuses_what_is_no_cosine(rho: float) -> None:
    with pytest.raises(ValueError, match="rho must be"):
        fastntk.limit_profile([0.5, rho])


def test_passes_are_vectorised(python, tmp_path) -> None:
    """Square roots and fused multiply-adds come in whole vectors: a scalar loop would be ten times slower."""
    found = python(
        """
import json, re
import numba, numpy as np
import fastntk
from fastntk.kernels.cpu import limit
row = np.full(64, 0.3, np.float32)
limit.both_row(row, 1 - np.abs(row), 3)
(signature,) = limit.both_row.signatures
code = limit.both_row.inspect_asm(signature)
print(json.dumps([numba.core.codegen.get_host_cpu_features(), re.findall(r"v?sqrtp[sd]\\s[^\\n]*", code)]))
""",
        env={"NUMBA_CACHE_DIR": str(tmp_path)},
    )  # what comes from the cache has no assembly
    features, roots = found
    assert roots
    if "+avx" in features:
        assert any("%ymm" in root or "%zmm" in root for root in roots)
