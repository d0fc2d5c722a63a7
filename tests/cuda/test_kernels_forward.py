"""Kernels that read pre-activations: signs, packing, outputs, and the sums over blocks that follow."""

import math

import numpy as np
import pytest

from fastntk import reference
from fastntk.base.packing import TILE, PackedMasks, tiles_of
from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda import activation, forward, losses, reductions
from fastntk.losses import Huber, Logistic, Squared

SIZES = [
    (1, 1),
    (15, 127),
    (16, 128),
    (17, 129),
]  # below, at and above a tile of samples and a block of neurons


def pre_activations(rng, n, m, dtype):
    """Small integers, a fifth of them zero of either sign, in rows longer than they need be."""
    Z = rng.integers(-2, 3, (n, m)).astype(dtype)
    Z[(Z == 0) & (rng.random((n, m)) < 0.5)] = -0.0
    padded = np.full((n, m + 3), np.nan, dtype)
    padded[:, :m] = Z
    return Z, cuda.to_device(padded)


def outputs(Z, n, m, a):
    """Bits and outputs of the kernels, on top of whatever was there before."""
    masks = PackedMasks.empty(n, m)
    bits = cuda.to_device(np.full(masks.bits.shape, 255, np.uint8))
    shares = cuda.to_device(np.full((-(-m // forward.NEURONS), TILE * tiles_of(n)), np.nan))
    u = cuda.to_device(np.full(n, np.nan))
    forward.forward(Z, n, m, cuda.to_device(a), bits, shares)
    reductions.column_sums(shares, 1 / math.sqrt(m), u)
    return bits.copy_to_host(), u.copy_to_host()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_signs_and_outputs_are_those_of_the_reference(rng, n, m, dtype):
    Z, there = pre_activations(rng, n, m, dtype)
    a = rng.choice([-1, 1], m).astype(dtype)
    bits, u = outputs(there, n, m, a)
    assert np.array_equal(bits, PackedMasks.from_dense(Z >= 0).bits)
    # Sums of small integers are exact: only the factor rounds.
    assert np.allclose(u, reference.outputs(Z.astype(np.float64), a), rtol=4e-16, atol=0)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_signs_alone(rng, n, m):
    Z, there = pre_activations(rng, n, m, np.float32)
    bits = cuda.to_device(np.full(PackedMasks.empty(n, m).bits.shape, 255, np.uint8))
    activation.activation(there, n, m, bits)
    assert np.array_equal(bits.copy_to_host(), PackedMasks.from_dense(Z >= 0).bits)


def test_outputs_keep_float32_accuracy_and_nan(rng):
    n, m = 3, 600
    Z = rng.standard_normal((n, m)).astype(np.float32)
    a = rng.choice([-1, 1], m).astype(np.float32)
    Z[2, 500] = np.nan
    _, u = outputs(cuda.to_device(Z), n, m, a)
    terms = np.maximum(Z, 0).astype(np.float64) * a
    # Sixteen terms are added in float32: 15 roundings of at most 2^-24 of the sum of absolute values.
    bound = 15 * 2.0**-24 * np.abs(terms).sum(axis=1) / math.sqrt(m)
    assert (np.abs(u - terms.sum(axis=1) / math.sqrt(m)) <= bound)[:2].all()
    assert np.isnan(u[2])


def test_equal_launches_give_equal_bits(rng):
    Z = cuda.to_device(rng.standard_normal((2, 300)).astype(np.float32))
    a = np.ones(300, np.float32)
    assert np.array_equal(outputs(Z, 2, 300, a)[1], outputs(Z, 2, 300, a)[1])


def test_column_sums_over_many_rows(rng):
    shares = rng.integers(-9, 10, (19, 40)).astype(np.float64)
    out = cuda.to_device(np.full(33, np.nan))
    reductions.column_sums(cuda.to_device(shares), 2.0, out)
    assert np.array_equal(out.copy_to_host(), 2 * shares.sum(axis=0)[:33])


def test_shares_are_added(rng):
    shares, totals = rng.integers(-9, 10, (3, 257)).astype(np.float64), np.arange(257.0)
    there = cuda.to_device(totals)
    reductions.add_shares(cuda.to_device(shares), there)
    assert np.array_equal(there.copy_to_host(), totals + shares.sum(axis=0))


@pytest.mark.parametrize("place", [0, 255, 256, 299])
def test_largest_root(rng, place):
    squares = rng.random(301)
    squares[place], squares[300] = 9.0, 100.0  # the last one is padding
    out = cuda.to_device(np.full(2, -1.0))
    reductions.largest_root(cuda.to_device(squares), 300, out, 1)
    assert np.array_equal(out.copy_to_host(), [-1.0, 3.0])


@pytest.mark.parametrize(
    ("squares", "root"),
    [
        ([-1e-20], 0.0),
        ([np.inf], np.inf),
        ([4.0, np.nan, 9.0], np.nan),
        ([np.nan, *[9.0] * 600], np.nan),  # a thread sees it first, then numbers
    ],
)
def test_largest_root_of_odd_squares(squares, root):
    out = cuda.to_device(np.zeros(1))
    reductions.largest_root(cuda.to_device(np.array(squares)), len(squares), out, 0)
    assert np.array_equal(out.copy_to_host(), [root], equal_nan=True)


@pytest.mark.parametrize("objective", [Squared(), Logistic(), Huber(delta=0.5)], ids=lambda loss: loss.name)
@pytest.mark.parametrize(("n", "samples"), [(1, 16), (300, 304)])
def test_losses(rng, objective, n, samples):
    u = 3 * rng.standard_normal(n)
    u[0] = 800.0  # where a careless exponential overflows
    y = rng.choice([-1.0, 1.0], n)
    out, e = cuda.to_device(np.zeros(3)), cuda.to_device(np.full(samples, np.nan, np.float32))
    derivatives = cuda.to_device(np.zeros(n))
    losses.loss_terms(
        losses.KINDS[objective.name], getattr(objective, "delta", 0.0), cuda.to_device(u), cuda.to_device(y),
        derivatives, e, out, 1,
    )  # fmt: skip
    value, expected = objective.evaluate(u, y)
    # Sums in another order, functions of another library: a few roundings of terms that are not negative.
    assert out.copy_to_host()[1] == pytest.approx(value, rel=1e-13)
    assert out.copy_to_host()[[0, 2]].tolist() == [0.0, 0.0]
    assert np.allclose(derivatives.copy_to_host(), expected, rtol=1e-14, atol=0)
    assert np.array_equal(e.copy_to_host()[:n], derivatives.copy_to_host().astype(np.float32))
    assert not e.copy_to_host()[n:].any()


def test_running_sums():
    totals = cuda.to_device(np.arange(16.0))
    losses.add_scaled(cuda.to_device(np.ones(3)), 0.5, totals)
    assert np.array_equal(totals.copy_to_host(), np.arange(16.0) + 0.5 * (np.arange(16) < 3))
