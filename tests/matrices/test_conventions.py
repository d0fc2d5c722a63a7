"""docs/conventions.md: every factor in it, against the other package's recursion written out from its definition."""

from types import SimpleNamespace

import numpy as np
import pytest

import fastntk
from fastntk.sklearn import NTKKernel

HE = 2**0.5


@pytest.fixture
def rows(rng):
    return rng.standard_normal((9, 3)), rng.standard_normal((6, 3))


def neural_tangents(X, Z, W_std, b_std=None):
    """``stax.serial(Dense, Relu, ..., Dense)`` in NTK parameterisation: NNGP and NTK, by arctan2."""
    b_std = b_std or [0.0] * len(W_std)
    d = X.shape[1]
    nngp, left, right = X @ Z.T / d, (X**2).sum(1) / d, (Z**2).sum(1) / d
    ntk = np.zeros_like(nngp)
    for layer, (w, b) in enumerate(zip(W_std, b_std, strict=True)):
        if layer > 0:  # Relu
            root = np.sqrt(np.maximum(np.outer(left, right) - nngp**2, 0))
            slope = 0.5 - np.arctan2(root, nngp) / (2 * np.pi)
            nngp, ntk = root / (2 * np.pi) + slope * nngp, ntk * slope
            left, right = left / 2, right / 2
        nngp, left, right = w**2 * nngp + b**2, w**2 * left + b**2, w**2 * right + b**2
        ntk = nngp + w**2 * ntk
    return SimpleNamespace(nngp=nngp, ntk=ntk)


def scikit_ntk(X, Z, depth, bias):
    """``skntk.NeuralTangentKernel``: with lengths that He's factor keeps."""
    lengths = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
    covariance = X @ Z.T
    K = covariance + bias**2
    for _ in range(depth):
        angle = np.arccos(np.clip(covariance / lengths, -1, 1))
        slope = (np.pi - angle) / np.pi
        covariance = lengths * (np.cos(angle) * slope + np.sin(angle) / np.pi)
        K = K * slope + covariance + bias**2
    return K / ((depth + 1) * (bias**2 + 1))


def eigenpro(X, Z, depth, bias=0.0):
    """``eigenpro.kernels.ntk_relu``: depth counts the output layer."""
    norms = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(Z, axis=1)
    S = X @ Z.T
    N = S + bias**2
    for _ in range(1, depth):
        u = np.clip(S / norms, -1 + 1e-12, 1 - 1e-12)
        kappa_0 = 1 - np.arccos(u) / np.pi
        S = norms * (u * kappa_0 + np.sqrt(1 - u * u) / np.pi)
        N = N * kappa_0 + S + bias**2
    return N


def close(found, wanted, rtol=1e-12):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=rtol * np.abs(wanted).max())


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("scale", [1.0, HE, 0.7])
def test_own_formulas(depth, scale, rows):
    """The table of fastntk itself, and its diagonals."""
    X, Z = rows
    lengths = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
    c = scale**2 / 2
    rho = tau = X @ Z.T / lengths
    first = c * X @ Z.T * (np.pi - np.arccos(rho)) / np.pi
    for _ in range(depth):
        kappa_0 = (np.pi - np.arccos(rho)) / np.pi
        rho = (np.sqrt(1 - rho**2) + (np.pi - np.arccos(rho)) * rho) / np.pi
        tau = rho + tau * kappa_0
    options = {"depth": depth, "scale": scale}
    close(fastntk.limit_gram(X, Z, "second", **options), lengths * c**depth * rho)
    close(fastntk.limit_gram(X, Z, "both", **options), lengths * c**depth * tau)
    squares = (X**2).sum(1)
    close(np.diag(fastntk.limit_gram(X, layers="second", **options)), c**depth * squares)
    close(np.diag(fastntk.limit_gram(X, layers="both", **options)), (depth + 1) * c**depth * squares)
    if depth == 1:
        close(fastntk.limit_gram(X, Z, "first", scale=scale), first)
        close(np.diag(fastntk.limit_gram(X, scale=scale)), c * squares)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_neural_tangents(depth, rows):
    X, Z = rows
    d = X.shape[1]
    for name, layers in (("ntk", "both"), ("nngp", "second")):
        ones = getattr(neural_tangents(X, Z, [1.0] * (depth + 1)), name)
        close(fastntk.limit_gram(X, Z, layers, depth) / d, ones)
        for w in (HE, 1.3):
            equal = getattr(neural_tangents(X, Z, [w] * (depth + 1)), name)
            close(w**2 / d * fastntk.limit_gram(X, Z, layers, depth, scale=w), equal)
        different = np.linspace(0.5, 2, depth + 1)
        found = np.prod(different**2) / d * fastntk.limit_gram(X, Z, layers, depth)
        close(found, getattr(neural_tangents(X, Z, different), name))


def test_neural_tangents_with_biases(rows):
    X, Z = rows
    (w1, w2), (b1, b2) = (1.3, 0.9), (0.7, 0.4)
    theirs = neural_tangents(X, Z, [w1, w2], [b1, b2])
    ours = [np.column_stack([w1 * part / 3**0.5, np.full(len(part), b1)]) for part in (X, Z)]
    close(w2**2 * fastntk.limit_gram(*ours, layers="both") + b2**2, theirs.ntk)
    close(w2**2 * fastntk.limit_gram(*ours, layers="second") + b2**2, theirs.nngp)
    close(w2**2 * NTKKernel(bias=b1)(w1 * X / 3**0.5, w1 * Z / 3**0.5) + b2**2, theirs.ntk)


def test_neural_tangents_first_layer(rows):
    theirs = neural_tangents(*rows, [1.0, 1.0])
    close(fastntk.limit_gram(*rows) / 3, theirs.ntk - theirs.nngp)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_scikit_ntk(depth, rows):
    K = fastntk.limit_gram(*rows, layers="both", depth=depth, scale=HE)
    close(K / (depth + 1), scikit_ntk(*rows, depth, 0.0))
    unit = rows[0] / np.linalg.norm(rows[0], axis=1, keepdims=True)
    close(np.diag(scikit_ntk(unit, unit, depth, 0.3)), np.ones(9), rtol=1e-7)  # arccos near 1


def test_scikit_ntk_bias(rows):
    X, Z = rows
    bias = 0.3
    rho = X @ Z.T / np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
    kappa_0 = fastntk.limit_profile(rho, scale=HE) / rho
    K = fastntk.limit_gram(X, Z, layers="both", scale=HE)
    close((K + bias**2 * (1 + kappa_0)) / (2 * (bias**2 + 1)), scikit_ntk(X, Z, 1, bias))


def test_scikit_ntk_bias_in_deeper_networks(rows):
    """The sum of products of the table, here with its own recursion for the angles."""
    X, Z = rows
    depth, bias = 3, 0.6
    rho = X @ Z.T / np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
    slopes = []
    for _ in range(depth):
        slopes.append((np.pi - np.arccos(rho)) / np.pi)
        rho = fastntk.limit_profile(rho, "second", scale=HE)
    extra = sum(np.prod(slopes[k:], axis=0) for k in range(depth + 1))
    K = fastntk.limit_gram(X, Z, layers="both", depth=depth, scale=HE)
    close((K + bias**2 * extra) / ((depth + 1) * (bias**2 + 1)), scikit_ntk(X, Z, depth, bias))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_eigenpro(depth, rows):
    ours = fastntk.limit_gram(*rows, layers="both", depth=depth, scale=HE)
    close(ours, eigenpro(*rows, depth + 1))
    X = rows[0]
    diagonal = np.diag(eigenpro(X, X, depth + 1)) / np.diag(
        fastntk.limit_gram(X, layers="both", depth=depth, scale=HE)
    )
    assert (diagonal < 1 - 1e-7).all()
    assert (diagonal > 1 - 1e-6).all()


def test_eigenpro_of_depth_one_is_linear(rows):
    close(rows[0] @ rows[1].T, eigenpro(*rows, 1))
