"""The deep twin, judged by finite differences, explicit Jacobians, the two-layer twin and the limits at great width."""

import numpy as np
import pytest

from fastntk import reference
from fastntk.reference import deep


def network(rng, d, widths, gaussian=False):
    sizes = (d, *widths)
    W = [rng.standard_normal((m, k)) for k, m in zip(sizes, widths, strict=False)]
    a = rng.standard_normal(widths[-1]) if gaussian else rng.choice([-1.0, 1.0], widths[-1])
    return W, a


def outputs(X, parts, scale):
    return deep.deep_forward(X, parts[:-1], scale)[1][-1] @ parts[-1]


def central(function, parts, h, step=1e-6):
    """Central differences of a vector function of the parts, by every entry of part h: (values, entries)."""
    columns = []
    for index in np.ndindex(parts[h].shape):
        moved = []
        for sign in (step, -step):
            shifted = [part.copy() for part in parts]
            shifted[h][index] += sign
            moved.append(function(shifted))
        columns.append((moved[0] - moved[1]) / (2 * step))
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("widths", [(3,), (4, 4), (5, 3, 4), (2, 3, 2, 3, 2)])
@pytest.mark.parametrize("scale", [1.0, 2**0.5])
def test_gradients_and_grams_are_those_of_finite_differences(rng, widths, scale):
    X, e = rng.standard_normal((4, 3)), rng.standard_normal(4)
    near = 0.0
    while near < 1e-4:  # differences must not cross a kink
        W, a = network(rng, 3, widths, gaussian=True)
        near = min(np.abs(z).min() for z in deep.deep_forward(X, W, scale)[0])
    gradients = deep.deep_gradients(X, e, W, a, scale)
    grams = deep.deep_grams(X, W, a, scale)
    for h in range(len(W) + 1):
        jacobian = central(lambda parts: outputs(X, parts, scale), [*W, a], h)
        assert np.abs(e @ jacobian - gradients[h].ravel()).max() < 1e-7 * max(1, np.abs(gradients[h]).max())
        assert np.abs(jacobian @ jacobian.T - grams[h]).max() < 1e-7 * max(1, np.abs(grams[h]).max())


@pytest.mark.parametrize("gaussian", [False, True])
def test_one_hidden_layer_is_the_two_layer_twin(rng, gaussian):
    X, y = rng.standard_normal((6, 4)), rng.standard_normal(6)
    W, a = network(rng, 4, (20,), gaussian)
    u = outputs(X, [*W, a], 1.0)
    assert np.abs(u - reference.forward(X, W[0], a)).max() < 1e-13
    first, second = deep.deep_gradients(X, u - y, W, a)
    assert np.abs(first - reference.loss_gradient(X, y, W[0], a)).max() < 1e-13
    assert np.abs(second - reference.second_layer_gradient(X, y, W[0], a)).max() < 1e-13
    for name, found in zip(("first", "second"), deep.deep_grams(X, W, a), strict=True):
        assert np.abs(found - reference.tangent_gram(X, W[0], a, name)).max() < 1e-13
    for name, found in zip(("first", "second"), deep.deep_limits(X, 1, 1.3), strict=True):
        assert np.abs(found - reference.limit_gram(X, layers=name, scale=1.3)).max() < 1e-13


@pytest.mark.parametrize("layers", [("hidden", "first"), ("output", "second"), ("all", "both")])
@pytest.mark.parametrize("optimizer", ["gd", "heavy_ball", "nesterov"])
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_runs_of_one_hidden_layer_are_those_of_the_two_layer_twin(rng, layers, optimizer, loss):
    X = rng.standard_normal((6, 4))
    y = rng.standard_normal(6)
    W, a = network(rng, 4, (30,))
    common = {"steps": 5, "lr": 0.1, "optimizer": optimizer, "loss": loss}
    found = deep.deep_train(X, y, W, a, layers=layers[0], **common)
    wanted = reference.train(X, y, W[0], a, layers=layers[1], metrics="all", **common)
    for name in ("steps", "loss"):
        assert np.abs(found[name] - wanted[name]).max() < 1e-12, name
    for name in ("flips", "drift"):
        assert np.abs(found[name][:, 0] - wanted[name]).max() < 1e-12, name
    assert np.abs(found["lambda_min_total"] - wanted["lambda_min"]).max() < 1e-12
    if layers[0] != "all":
        for name in ("lambda_min", "gram_change", "gram_limit_distance"):
            assert np.abs(np.nansum(found[name], axis=1) - wanted[name]).max() < 1e-11, name
    assert np.abs(found["W"][0] - wanted["W"]).max() < 1e-13
    assert np.abs(found["a"] - wanted["a"]).max() < 1e-13


def test_layers_that_stay_have_no_eigenvalue_and_do_not_move(rng):
    X, y = rng.standard_normal((5, 4)), rng.standard_normal(5)
    W, a = network(rng, 4, (30, 20, 10))
    log = deep.deep_train(X, y, W, a, steps=3, layers=(2, 4))
    assert np.isnan(log["lambda_min"][:, [0, 2]]).all()
    assert not np.isnan(log["lambda_min"][:, [1, 3]]).any()
    assert (log["drift"][:, [0, 2]] == 0).all()
    assert log["drift"][-1, 1] > 0
    assert np.array_equal(log["W"][0], W[0])
    assert not np.array_equal(log["a"], a)


def test_a_batch_sees_its_samples_only(rng):
    X, y = rng.standard_normal((5, 4)), rng.standard_normal(5)
    W, a = network(rng, 4, (30, 20))
    factors = np.array([[1.0, 0.0, 1.0, 0.0, 0.0]])
    found = deep.deep_train(X, y, W, a, steps=1, batches=factors)
    alone = deep.deep_train(X[[0, 2]], y[[0, 2]], W, a, steps=1)
    for left, right in zip(found["W"], alone["W"], strict=True):
        assert np.abs(left - right).max() < 1e-14


def test_terms_of_the_limit_sum_to_the_tangent_kernel(rng):
    X = rng.standard_normal((7, 3))
    for depth in (1, 2, 3, 5):
        terms = deep.deep_limits(X, depth, 1.2)
        assert (
            np.abs(sum(terms) - reference.limit_gram(X, layers="both", depth=depth, scale=1.2)).max() < 1e-12
        )
        assert (
            np.abs(terms[-1] - reference.limit_gram(X, layers="second", depth=depth, scale=1.2)).max() < 1e-12
        )


@pytest.mark.parametrize("depth", [2, 3])
def test_grams_converge_to_the_limits(rng, depth):
    """The error of an entry falls like 1 / sqrt(m): at m = 1600 its mean over networks is below 5 of its deviations."""
    X = rng.standard_normal((4, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    scale = 2**0.5
    limits = np.array(deep.deep_limits(X, depth, scale))
    spread = []
    for m in (100, 1600):
        errors = (
            np.array([deep.deep_grams(X, *network(rng, 3, (m,) * depth), scale) for _ in range(16)]) - limits
        )
        deviation = errors.std(axis=0, ddof=1) / 4
        bias = 10 * depth / m  # of products of averages
        assert (np.abs(errors.mean(axis=0)) < 5 * deviation + bias).all()
        spread.append(np.sqrt((errors**2).mean()))
    assert 2.5 < spread[0] / spread[1] < 6.0  # 4 expected
