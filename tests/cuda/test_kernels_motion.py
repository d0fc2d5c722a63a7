"""Momentum, the second layer and Runge-Kutta steps: each kernel against NumPy, exact where all numbers are integers."""

import math

import numpy as np
import pytest

from fastntk import reference
from fastntk.base.packing import TILE, PackedMasks, padded_width, tiles_of
from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda import (
    combinations,
    dual_flow,
    dual_momentum,
    dual_second,
    primal_momentum,
    reductions,
    second_layer,
    stage_error,
)

# Below, at and above a tile of samples and a block of neurons.
SIZES = [(1, 1), (15, 127), (16, 128), (17, 129)]
MOMENTUM = [(2.0, 1.0, 0.0), (3.0, 3.0, 1.0)]  # heavy ball, Nesterov, with integers


def there(array):
    return cuda.to_device(np.ascontiguousarray(array))


def wide(values):
    """Rows as long as those of the state, zeros beyond the last neuron."""
    m = values.shape[-1]
    return np.concatenate(
        [values, np.zeros((*values.shape[:-1], padded_width(m) - m), values.dtype)], axis=-1
    )


def integers(rng, shape, dtype):
    return rng.integers(-2, 3, shape).astype(dtype)


def ranges_of(m, size=128):
    return [(first, min(size, m - first)) for first in range(0, m, size)]


def check_outputs(Z, a, bits, u_shares):
    """Signs and outputs of pre-activations."""
    n, m = Z.shape
    assert np.array_equal(bits.copy_to_host(), PackedMasks.from_dense(Z >= 0).bits)
    u = there(np.zeros(n))
    reductions.column_sums(u_shares, 1.0, u)
    expected = reference.outputs(Z.astype(np.float64), a) * math.sqrt(m)
    assert np.allclose(u.copy_to_host(), expected, rtol=1e-15, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_dual_momentum(rng, n, m, dtype):
    Z0, D, V, S = (integers(rng, (n, m), dtype) for _ in range(4))
    scale, a = integers(rng, m, dtype), rng.choice([-1, 1], m).astype(dtype)
    beta, b, c = MOMENTUM[n % 2]
    moving, velocity, bits = there(wide(D)), there(wide(V)), there(PackedMasks.empty(n, m).bits)
    u_shares = there(np.full((-(-m // 128), TILE * tiles_of(n)), np.nan))
    for first, count in ranges_of(m):
        dual_momentum.dual_momentum(
            n, m, first, count, bits, there(S[:, first : first + count]), there(wide(scale)), there(a), (beta, b, c),
            there(wide(Z0)), moving, velocity, u_shares,
        )  # fmt: skip
    G = scale * S
    V = beta * V + G
    D = D + b * V + c * G
    assert np.array_equal(velocity.copy_to_host(), wide(V))
    assert np.array_equal(moving.copy_to_host(), wide(D))
    check_outputs(Z0 + D, a, bits, u_shares)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_dual_mean(rng, n, m, dtype):
    Z0, K0, D = (integers(rng, (n, m), dtype) for _ in range(3))
    a = rng.choice([-1, 1], m).astype(dtype)
    moving, bits = there(wide(D)), there(PackedMasks.empty(n, m).bits)
    u_shares = there(np.full((-(-m // 128), TILE * tiles_of(n)), np.nan))
    dual_flow.dual_mean(n, m, 0.25, there(a), there(wide(Z0)), there(wide(K0)), moving, bits, u_shares)
    D = (K0 + 3 * D) / 4
    assert np.array_equal(moving.copy_to_host(), wide(D))
    check_outputs(Z0 + D, a, bits, u_shares)


def test_nan_is_kept(rng):
    """In states and outputs; its entries count as inactive."""
    n, m = 3, 5
    Z0, D, V = np.ones((n, m)), np.zeros((n, m)), np.zeros((n, m))
    D[1, 4] = np.nan
    for kernel in ("momentum", "mean"):
        moving, bits, u_shares = there(wide(D)), there(PackedMasks.empty(n, m).bits), there(np.zeros((1, 16)))
        if kernel == "momentum":
            dual_momentum.dual_momentum(
                n, m, 0, m, bits, there(np.ones((n, m))), there(np.ones(64)), there(np.ones(m)), (0.5, 1.0, 0.0),
                there(wide(Z0)), moving, there(wide(V)), u_shares,
            )  # fmt: skip
        else:
            dual_flow.dual_mean(
                n, m, 0.5, there(np.ones(m)), there(wide(Z0)), there(wide(V)), moving, bits, u_shares
            )
        assert np.isnan(u_shares.copy_to_host()[0]).tolist() == [i == 1 for i in range(16)]
        assert not PackedMasks(bits.copy_to_host(), (n, m)).to_dense()[1, 4]
    shares = there(np.zeros((1, 64)))
    dual_second.positive_products(n, m, there(np.ones(16)), there(wide(Z0)), there(wide(D)), shares)
    assert np.isnan(shares.copy_to_host()[0]).tolist() == [r == 4 for r in range(64)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_coefficients(rng, n, m, dtype):
    M, C, V = rng.random((n, m)) < 0.5, integers(rng, (n, m), dtype), integers(rng, (n, m), dtype)
    e, scale = integers(rng, TILE * tiles_of(n), dtype), integers(rng, m, dtype)
    bits, g = there(PackedMasks.from_dense(M).bits), scale * M * e[:n, np.newaxis]
    plain, damped, velocity = there(wide(C)), there(wide(C)), there(wide(V))
    dual_second.add_coefficients(n, m, bits, there(e), there(wide(scale)), plain)
    assert np.array_equal(plain.copy_to_host(), wide(C + g))
    beta, b, c = MOMENTUM[n % 2]
    dual_second.add_damped_coefficients(
        n, m, bits, there(e), there(wide(scale)), (beta, b, c), damped, velocity
    )
    assert np.array_equal(velocity.copy_to_host(), wide(beta * V + g))
    assert np.array_equal(damped.copy_to_host(), wide(C + b * (beta * V + g) + c * g))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_products_and_norms(rng, n, m, dtype):
    """Two ranges of samples, where there are so many."""
    Z0, D, C = (integers(rng, (n, m), dtype) for _ in range(3))
    e, width, ranges = integers(rng, TILE * tiles_of(n), dtype), padded_width(m), min(2, n)
    shares = there(np.full((ranges, width), np.nan))
    dual_flow.change_norms(n, m, there(wide(C)), there(wide(D)), shares)
    assert np.array_equal(shares.copy_to_host()[:, :m].sum(axis=0), (C * D).sum(axis=0))
    for change in (D, D[:0]):
        dual_second.positive_products(n, m, there(e), there(wide(Z0)), there(wide(change)), shares)
        Z = Z0 + D if len(change) else Z0
        expected = (e[:n, np.newaxis] * np.maximum(Z, 0)).sum(axis=0)
        assert np.array_equal(shares.copy_to_host()[:, :m].sum(axis=0), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("d", "m"), SIZES)
def test_primal_momentum(rng, d, m, dtype):
    W0, D, V, S = (integers(rng, (d, m), dtype) for _ in range(4))
    scale, width, ranges = integers(rng, m, dtype), padded_width(m), min(2, d)
    beta, b, c = MOMENTUM[d % 2]
    moving, velocity, W = there(wide(D)), there(wide(V)), there(np.zeros((d, width), dtype))
    drift_shares, shares = (there(np.full((ranges, width), np.nan)) for _ in range(2))
    resting = there(np.full((ranges, width), np.nan))
    for first, count in ranges_of(m):
        part = there(S[:, first : first + count])
        primal_momentum.weight_products(first, count, part, there(wide(W0)), moving, shares)
        primal_momentum.weight_products(first, count, part, there(wide(W0)), there(wide(D[:0])), resting)
        primal_momentum.primal_momentum(
            first, count, part, there(scale), (beta, b, c), there(wide(W0)), moving, velocity, W, drift_shares
        )
    assert np.array_equal(shares.copy_to_host()[:, :m].sum(axis=0), ((W0 + D) * S).sum(axis=0))
    assert np.array_equal(resting.copy_to_host()[:, :m].sum(axis=0), (W0 * S).sum(axis=0))
    V = beta * V + scale * S
    D = D + b * V + c * scale * S
    assert np.array_equal(velocity.copy_to_host(), wide(V))
    assert np.array_equal(moving.copy_to_host(), wide(D))
    assert np.array_equal(W.copy_to_host(), wide(W0 + D))
    assert np.array_equal(drift_shares.copy_to_host()[:, :m].sum(axis=0), (D**2).sum(axis=0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 256, 257])
def test_second_layer(rng, m, dtype):
    """Integers and halves; the weights are rounded from the change in float64."""
    initial, change, velocity = (
        rng.standard_normal(m).astype(dtype),
        *rng.integers(-3, 4, (2, m)).astype(float),
    )
    shares = rng.integers(-3, 4, (3, m + 2)).astype(float)
    arrays = [there(values) for values in (initial, change, velocity, np.zeros(m, dtype))]
    second_layer.move_second(there(shares), -0.5, (3.0, 2.0, 1.0), *arrays)
    gradient = -0.5 * shares.sum(axis=0)[:m]
    velocity = 3.0 * velocity + gradient
    change = change + 2.0 * velocity + gradient
    _, moved, moving, a = (array.copy_to_host() for array in arrays)
    assert np.array_equal(moving, velocity)
    assert np.array_equal(moved, change)
    assert np.array_equal(a, (initial + change).astype(dtype))
    kept = rng.integers(-3, 4, m).astype(float)
    second_layer.blend_second(0.25, arrays[0], there(kept), arrays[1], arrays[3])
    assert np.array_equal(arrays[1].copy_to_host(), 0.25 * kept + 0.75 * change)
    assert np.array_equal(arrays[3].copy_to_host(), (initial + (0.25 * kept + 0.75 * change)).astype(dtype))
    scale = there(np.full(m + 5, 7, dtype))
    second_layer.signed_step(there(initial), -0.3, scale)
    expected = (initial.astype(np.float64) * -0.3).astype(dtype)
    assert np.array_equal(scale.copy_to_host(), [*expected, *[7] * 5])


def test_a_velocity_without_momentum_is_forgotten():
    """Also one that has overflowed: infinity times zero is no number."""
    arrays = [there(np.array([value])) for value in (1.0, 0.0, np.inf, 0.0)]
    second_layer.move_second(there(np.array([[2.0]])), 1.0, (0.0, 1.0, 0.0), *arrays)
    assert [array.copy_to_host()[0] for array in arrays] == [1.0, 2.0, 2.0, 3.0]


@pytest.mark.parametrize("shape", [(1,), (3, 64), (131, 64)])
def test_combinations(rng, shape):
    kept, values = integers(rng, shape, np.float32), integers(rng, shape, np.float32)
    mixed = there(values)
    combinations.mean(0.25, there(kept), mixed)
    assert np.array_equal(mixed.copy_to_host(), (kept + 3 * values) / 4)
    combinations.add(there(kept), mixed, mixed)
    assert np.array_equal(mixed.copy_to_host(), kept + (kept + 3 * values) / 4)


@pytest.mark.parametrize("n", [1, 256, 300])
def test_stage_error(rng, n):
    start, far, middle, u, derivatives = rng.standard_normal((5, n))
    out = there(np.zeros(3))
    stage_error.stage_error(*map(there, (start, far, middle, u, derivatives)), out)
    expected = np.linalg.norm(u - middle - (far - start) / 3), np.linalg.norm(derivatives), 0.0
    assert np.allclose(out.copy_to_host(), expected, rtol=1e-14, atol=0)
    u[n // 2] = np.nan
    stage_error.stage_error(*map(there, (start, far, middle, u, derivatives)), out)
    assert np.isnan(out.copy_to_host()[0])


@pytest.mark.parametrize(
    ("values", "largest"),
    [([-3.0, 2.0], 3.0), ([0.0], 0.0), ([-1.0, math.nan, -5.0], math.nan), ([-math.inf], math.inf)],
)
def test_largest_magnitude(values, largest):
    out = there(np.full(3, 7.0))
    reductions.largest_magnitude(there(np.array([*values, 9.0])), len(values), out, 1)
    assert np.array_equal(out.copy_to_host(), [7.0, largest, 7.0], equal_nan=True)
