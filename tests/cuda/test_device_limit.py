"""Limits of points on a GPU: profile, blocks, targets, operators; the matrices of the CPU, the products of NumPy."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator, cg

import fastntk
from fastntk import reference
from fastntk.compilation.jit_cuda import cuda
from fastntk.cuda.matrices import limit, passes, source
from fastntk.device import arrays as device_arrays
from fastntk.device.masks import DevicePackedMasks
from fastntk.matrices.tiled.whole import fill_target, target_of

N, K, D = 13, 5, 3
pytestmark = pytest.mark.usefixtures("quick_products")


def host(array):
    return np.asarray(array.copy_to_host())


def points(rng, n):
    return rng.standard_normal((n, D)) * rng.uniform(0.5, 2.0, (n, 1))


@pytest.fixture
def cut(monkeypatch):
    """Blocks of at most 9 samples."""
    monkeypatch.setattr(source, "EDGE", 9)
    monkeypatch.setattr(source, "SHARE", 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_are_the_matrix(rng, there, cut, dtype):
    X, Z = points(rng, N), points(rng, K)
    bound = {"float32": 2e-6, "float64": 2e-14}[dtype]
    for other in (None, Z):
        args = (there(X),) if other is None else (there(X), there(other))
        found = host(fastntk.limit_gram(*args, layers="both", depth=2, dtype=dtype))
        expected = reference.limit_gram(X, other, layers="both", depth=2)
        sizes = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(X if other is None else other, axis=1))
        assert found.dtype == dtype
        assert (np.abs(found - expected) <= bound * sizes).all()
        assert other is not None or np.array_equal(found, found.T)


def test_targets(rng, there, cut, tmp_path):
    X = points(rng, N)
    expected, seen = host(fastntk.limit_gram(there(X))), []
    target = there(np.zeros((N, N)))
    assert fastntk.limit_gram(there(X), out=target, progress=lambda *share: seen.append(share)) is target
    assert seen == [(done, 91) for done in (45, 81, 91)]
    assert np.array_equal(host(target), expected)
    array = np.zeros((N, N))
    assert fastntk.limit_gram(there(X), out=array) is array
    assert np.array_equal(array, expected)
    found = fastntk.limit_gram(there(X), there(X[:K]), out=tmp_path / "K.npy")
    assert np.allclose(found, expected[:, :K], rtol=1e-13, atol=1e-15)
    with pytest.raises(ValueError, match=r"^out must have shape \(13, 13\) and dtype float64"):
        fastntk.limit_gram(there(X), out=there(np.zeros((N, N), np.float32)))


def test_an_interrupted_file_is_gone_on_with(rng, there, tmp_path, monkeypatch):
    X, file, filled = points(rng, N), tmp_path / "H.npy", []
    compute = limit.LimitThere.fill_there

    def fill(self, rows, columns, out):
        if len(filled) == 2:
            raise KeyboardInterrupt
        filled.append((rows.start, columns.start))
        compute(self, rows, columns, out)

    def write():
        points = limit.limit_source(there(X), None, "first", 1, 1.0, "float64", 1)
        return fill_target(points, target_of(file, points), False, side=9)

    monkeypatch.setattr(limit.LimitThere, "fill_there", fill)
    with pytest.raises(KeyboardInterrupt):
        write()
    assert not file.exists()
    assert filled == [(0, 0), (9, 0)]
    filled[:] = [None, None, None]
    found = write()
    assert filled[3:] == [(9, 9)]
    assert np.allclose(found, fastntk.limit_gram(X), rtol=1e-13, atol=1e-15)
    assert [path.name for path in tmp_path.iterdir()] == ["H.npy"]
    other = limit.limit_source(there(2.0 * X), None, "first", 1, 1.0, "float64", 1)
    assert (
        other.fingerprint() != limit.limit_source(there(X), None, "first", 1, 1.0, "float64", 1).fingerprint()
    )


@pytest.mark.parametrize(("layers", "depth"), [("first", 1), ("second", 1), ("second", 3), ("both", 3)])
def test_profile(there, layers, depth):
    rho = np.concatenate(([-1.0, -0.0, 0.0, 1.0, 1.0 - 1e-9, 1e-9 - 1.0], np.linspace(-1.0, 1.0, 130)))
    found = fastntk.limit_profile(there(rho), layers, depth, 1.3)
    assert found.dtype == np.float64
    assert np.allclose(
        host(found), fastntk.limit_profile(rho, layers, depth, 1.3), rtol=1e-15 * depth, atol=1e-24
    )
    assert not np.signbit(host(found)[host(found) == 0.0]).any()


def test_profile_of_a_number(there):
    found = host(fastntk.limit_profile(there(np.float64(0.5)).reshape(())))
    assert found.shape == ()
    assert float(found) == pytest.approx(1 / 6, rel=1e-15)


@pytest.mark.parametrize("shape", [(1,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float64])
def test_profile_of_any_shape_and_type(rng, there, shape, dtype):
    """Also of views that skip entries."""
    rho = rng.uniform(-1, 1, (*shape[:-1], 2 * shape[-1])).astype(dtype)
    for step in (1, 2):
        part = (*[slice(None)] * (len(shape) - 1), slice(None, None, step))
        found = host(fastntk.limit_profile(there(rho)[part]))
        assert found.shape == rho[part].shape
        assert np.allclose(found, fastntk.limit_profile(rho[part]), rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("rho", "error", "message"),
    [
        ([0.5, 1.0 + 1e-15], ValueError, "^rho must be between -1 and 1"),
        ([np.nan], ValueError, "^rho must be between -1 and 1"),
        (np.zeros((0, 2)), ValueError, r"^rho must not be empty, got shape \(0, 2\)"),
        ([1j], TypeError, "^rho must be real numbers, got dtype complex128"),
    ],
)
def test_profiles_are_refused_by_name(there, rho, error, message):
    with pytest.raises(error, match=message):
        fastntk.limit_profile(there(np.asarray(rho)))


def products_agree(operator, H, there, calls):
    """Each product, where its vectors are, is that of the stored matrix."""
    scale = (1e-13 if H.dtype == np.float64 else 2e-6) * np.abs(H).sum()
    assert (operator.shape, operator.dtype, operator.symmetric) == (H.shape, np.float64, len(H) == len(H.T))
    for product, matrix, factor in calls:
        expected = matrix.astype(np.float64) @ factor
        here, found = product(factor), product(there(factor))
        assert isinstance(here, np.ndarray)
        assert found.dtype == np.float64
        assert np.array_equal(host(found), here)
        assert here.shape == expected.shape
        assert np.abs(here - expected).max() <= scale


@pytest.mark.parametrize(("k", "dtype"), [(None, "float64"), (K, "float32")])
def test_products_of_the_limit(rng, there, cut, dtype, k):
    """By every name that scipy has for them."""
    X, Z = points(rng, N), None if k is None else points(rng, k)
    options = {"layers": "both", "depth": 2, "dtype": dtype}
    operator = fastntk.gram_operator(there(X), None if k is None else there(Z), **options)
    H = fastntk.limit_gram(X, Z, **options)
    V, U = rng.standard_normal((k or N, 3)), rng.standard_normal((N, 3))
    calls = (
        (operator.__matmul__, H, V), (operator.T.__matmul__, H.T, U), (operator.rmatmat, H.T, U),
        (operator.matvec, H, V[:, 0]), (operator.rmatvec, H.T, U[:, :1]), (operator.H.dot, H.T, U[:, 0]),
        (operator.T.rmatmat, H, V),
    )  # fmt: skip
    products_agree(operator, H, there, calls)
    if k is None:
        assert operator.H is operator
        assert np.allclose(host(operator.diagonal()), H.diagonal(), rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("network", ["W and a", "masks", "two masks", "width"])
def test_products_of_networks(rng, there, cut, monkeypatch, network):
    monkeypatch.setattr(passes, "PART", 64)
    X, Z, W = points(rng, N), points(rng, K), rng.standard_normal((70, D))
    a, v = np.linspace(0.5, 2.0, 70), rng.standard_normal((N, 2))
    left, right = (fastntk.activation_masks(samples, W) for samples in (X, Z))
    here, over = {
        "W and a": ({"W": W, "a": a, "layers": "both"}, {"W": there(W), "a": there(a), "layers": "both"}),
        "masks": (
            {"masks": left, "a": np.full(70, -3.0)},
            {"masks": DevicePackedMasks.from_host(left), "a": there(np.full(70, -3.0))},
        ),
        "two masks": (
            {"masks": (left, right)},
            {"masks": tuple(map(DevicePackedMasks.from_host, (left, right)))},
        ),
        "width": ({"width": 70, "dtype": "float32"}, {"width": 70, "dtype": "float32"}),
    }[network]
    two = network == "two masks"
    operator = fastntk.gram_operator(there(X), there(Z) if two else None, **over)
    H = fastntk.gram(X, Z=Z if two else None, **here)
    products_agree(operator, H, there, [(operator.T.dot, H.T, v)])
    if not two:
        assert np.allclose(
            host(operator.diagonal()), H.diagonal(), rtol=1e-14 if H.dtype == np.float64 else 1e-6
        )


def test_vectors_of_any_kind(rng, there):
    X = points(rng, N)
    operator, H = fastntk.gram_operator(there(X)), fastntk.limit_gram(X)
    V = rng.integers(-3, 4, (N, 4))
    assert np.allclose(host(operator @ there(V)[:, ::2]), H @ V[:, ::2], rtol=1e-13, atol=1e-13)
    bad = np.zeros((N, 2))
    bad[3, 0] = np.nan
    found = host(operator @ there(bad))
    assert np.isnan(found[:, 0]).all()
    assert not found[:, 1].any()
    for vector, call in (
        (np.zeros(N + 1), operator.dot),
        (bad, operator.matvec),
        (bad[:, 0], operator.matmat),
    ):
        with pytest.raises(ValueError, match=r"^x must be a .* of 13 rows, got shape \(1"):
            call(there(vector))
    assert (operator @ there(np.zeros((N, 0)))).shape == (operator @ np.zeros((N, 0))).shape == (N, 0)
    with pytest.raises(TypeError, match="the operator multiplies real numbers, got dtype complex128"):
        operator @ there(np.zeros(N, np.complex128))
    with pytest.raises(ValueError, match="one set of points"):
        fastntk.gram_operator(there(X), there(X)).diagonal()


def test_solvers_of_the_host(rng, there):
    X, y = points(rng, K), rng.standard_normal(K)
    operator, H = fastntk.gram_operator(there(X)), fastntk.limit_gram(X)
    found, info = cg(operator, y, rtol=1e-12, maxiter=50)
    assert info == 0
    assert np.allclose(H @ found, y, atol=1e-9)
    shifted = 2.0 * operator + aslinearoperator(np.eye(K))
    assert np.allclose(shifted @ y, 2.0 * H @ y + y, atol=1e-12)


def test_operators_are_checked_and_warn(there):
    X = np.array([[1.0, 2.0], [2.0, 4.0]])
    with pytest.warns(fastntk.SingularGramWarning, match="rows 0 and 1 of X are positive") as caught:
        fastntk.gram_operator(there(X))
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match="a belongs to a network"):
        fastntk.gram_operator(there(X), a=there(X[0]))
    with pytest.raises(ValueError, match="depth and scale belong to the limit"):
        fastntk.gram_operator(there(X), W=there(X), depth=2)


def test_what_does_not_fit_says_how_it_would(rng, there, monkeypatch):
    X = there(points(rng, 64))
    monkeypatch.setattr(source, "EDGE", 8)
    monkeypatch.setattr(device_arrays, "available_bytes", lambda: 8.0 * 64 * 64)
    with pytest.raises(fastntk.MemoryLimitError, match=r"^the 64 x 64 Gram .* out= an array in host memory"):
        fastntk.limit_gram(X)


@pytest.mark.gpu
def test_blocks_of_full_size():
    """On a device: more than one block, with a remainder, against the CPU."""
    X, v = np.random.default_rng(0).standard_normal((source.EDGE + 77, 50)), np.ones(source.EDGE + 77)
    H, there = fastntk.limit_gram(X), cuda.to_device(X)
    found = host(fastntk.limit_gram(there))
    assert np.abs(found - H).max() <= 1e-13 * H.diagonal().max()
    assert np.array_equal(found, found.T)
    product = host(fastntk.gram_operator(there) @ cuda.to_device(v))
    assert np.abs(product - H @ v).max() <= 1e-12 * np.abs(H).sum(axis=1).max()
    W = np.random.default_rng(1).integers(-2, 3, (3000, 50)).astype(np.float32)
    X = np.random.default_rng(2).integers(-2, 3, X.shape).astype(np.float32)
    found = fastntk.gram(cuda.to_device(X), cuda.to_device(W))
    assert np.array_equal(host(found), fastntk.gram(X, W))
