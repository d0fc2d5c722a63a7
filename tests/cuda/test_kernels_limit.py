"""Limit kernels and lengths of rows against the reference and the CPU's kernels."""

import math

import numpy as np
import pytest

from fastntk import reference
from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cpu.limit import BOTH, FIRST, NEAR, SECOND, Points
from fastntk.kernels.cuda import limit, rows

LAYERS = {"first": FIRST, "second": SECOND, "both": BOTH}
# Of sqrt(H_ii H_jj), a layer: what fastntk.limit_gram promises.
BOUND = {np.float32: 1e-6, np.float64: 1e-14}


def row_lengths(X, direction):
    found = [cuda.to_device(np.zeros(len(X))) for _ in range(3)]
    rows.row_lengths(cuda.to_device(X), cuda.to_device(direction), *found)
    return [each.copy_to_host() for each in found]


def points(X, dtype, factor):
    """Points on the device, their lengths by the kernel under test."""
    squares, length, _ = row_lengths(X, np.zeros(X.shape[1]))
    square = squares * factor
    inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0.0)
    parts = (X, inverse, length * math.sqrt(factor), square)
    rounded, inverse, size, square = (cuda.to_device(part.astype(dtype)) for part in parts)
    return Points(rounded, cuda.to_device(X), inverse, cuda.to_device(length), size, square)


def limit_kernel(X, Z, layers, depth, dtype):
    """What an operation does: products, then the kernel in their place."""
    factor = 0.5**depth
    x = points(X, dtype, factor)
    z = x if Z is None else points(Z, dtype, factor)
    other = X if Z is None else Z
    out = cuda.to_device(X.astype(dtype) @ other.astype(dtype).T)
    near = dtype(NEAR[np.dtype(dtype).char])
    limit.limit_tiles(x, z, Z is None, LAYERS[layers], depth, near, out)
    return out.copy_to_host()


def samples(rng, n, d):
    """Random rows, and near pairs: 1e-4 apart, opposite, a copy, a zero row, lengths far from 1."""
    X = rng.standard_normal((n, d))
    if n > 6:
        X[1] = X[0] + 1e-4 * rng.standard_normal(d)
        X[2] = -X[0] + 1e-5 * rng.standard_normal(d)
        X[3] = X[0]
        X[4] = 0.0
        X[5] *= 1e3
    return X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("layers", "depth"), [("first", 1), ("second", 1), ("second", 3), ("both", 1), ("both", 3)]
)
def test_symmetric(rng, layers, depth, dtype):
    X = samples(rng, 33, 7)  # one more than a block
    found = limit_kernel(X, None, layers, depth, dtype)
    expected = reference.limit_gram(X, layers=layers, depth=depth)
    sizes = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    assert (np.abs(found - expected) <= BOUND[dtype] * depth * sizes).all()
    assert np.array_equal(found, found.T)
    diagonal = (X**2).sum(axis=1) * 0.5**depth * (depth + 1 if layers == "both" else 1)
    assert np.allclose(found.diagonal(), diagonal, rtol=2 * np.finfo(dtype).eps, atol=0)
    assert found[0, 3] == found[0, 0]  # a copy of a point has its diagonal


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (9, 33)])
def test_between_two_sets(rng, n, k, dtype):
    X, Z = samples(rng, n, 5), samples(rng, k, 5)
    Z[0] = 2.0 * X[0]
    found = limit_kernel(X, Z, "both", 2, dtype)
    expected = reference.limit_gram(X, Z, layers="both", depth=2)
    sizes = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
    assert (np.abs(found - expected) <= 2 * BOUND[dtype] * sizes).all()


def test_points_close_together_keep_their_eigenvalue():
    """Two unit points 1e-4 apart: lambda_min is 1.59e-5, not 0, also in float32."""
    X = np.array([[1.0, 0.0], [math.cos(1e-4), math.sin(1e-4)]])
    found = limit_kernel(X, None, "first", 1, np.float32)
    assert np.linalg.eigvalsh(found.astype(np.float64))[0] == pytest.approx(1.59e-5, rel=2e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_lengths(rng, dtype):
    X = rng.integers(-3, 4, (9, 33)).astype(dtype)
    X[2], X[3] = 0.0, 0.0
    X[3, 32] = 5.0
    direction = rng.integers(-9, 10, 33).astype(np.float64)
    squares, lengths, projections = row_lengths(X, direction)
    assert np.array_equal(squares, (X.astype(np.float64) ** 2).sum(axis=1))
    assert np.array_equal(projections, X @ direction)
    assert np.allclose(lengths, np.linalg.norm(X.astype(np.float64), axis=1), rtol=4e-16, atol=0)


def test_lengths_of_rows_whose_squares_underflow():
    _, lengths, _ = row_lengths(np.array([[3e-200, 4e-200], [0.0, 0.0]]), np.ones(2))
    assert np.allclose(lengths, [5e-200, 0.0], rtol=1e-15, atol=0)
