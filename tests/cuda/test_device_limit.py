"""Limits of points on a GPU: matrices, their targets, and the profile; against the reference and the CPU."""

import numpy as np
import pytest

import fastntk
from fastntk import reference
from fastntk.compilation.jit_cuda import cuda
from fastntk.device import driver

N, K, D = 13, 5, 3
pytestmark = pytest.mark.usefixtures("quick_products")


def host(array):
    return np.asarray(array.copy_to_host())


def points(rng, n):
    return rng.standard_normal((n, D)) * rng.uniform(0.5, 2.0, (n, 1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matrices(rng, there, dtype):
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


def test_targets(rng, there):
    X = points(rng, N)
    expected, seen = host(fastntk.limit_gram(there(X))), []
    target = there(np.zeros((N, N)))
    assert fastntk.limit_gram(there(X), out=target, progress=lambda *share: seen.append(share)) is target
    assert seen == [(N * N, N * N)]
    assert np.array_equal(host(target), expected)
    with pytest.raises(ValueError, match=r"^out must have shape \(13, 13\) and dtype float64"):
        fastntk.limit_gram(there(X), out=there(np.zeros((N, N), np.float32)))


def test_what_does_not_fit_says_how_it_would(rng, there, monkeypatch):
    X = there(points(rng, 64))
    monkeypatch.setattr(driver, "available_bytes", lambda: 7.0 * 64 * 64)
    with pytest.raises(fastntk.MemoryLimitError, match=r"^the 64 x 64 Gram .* out= an array in host memory"):
        fastntk.limit_gram(X)


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


@pytest.mark.gpu
def test_matrices_of_full_size():
    """On a device: many blocks of every kernel, with a remainder, against the CPU."""
    X = np.random.default_rng(0).standard_normal((4173, 50))
    H = fastntk.limit_gram(X)
    found = host(fastntk.limit_gram(cuda.to_device(X)))
    assert np.abs(found - H).max() <= 1e-13 * H.diagonal().max()
    assert np.array_equal(found, found.T)
    W = np.random.default_rng(1).integers(-2, 3, (3000, 50)).astype(np.float32)
    X = np.random.default_rng(2).integers(-2, 3, X.shape).astype(np.float32)
    found = fastntk.gram(cuda.to_device(X), cuda.to_device(W))
    assert np.array_equal(host(found), fastntk.gram(X, W))
