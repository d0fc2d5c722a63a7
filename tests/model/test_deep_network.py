"""DeepReLU: outputs, random weights, bad arguments, PyTorch."""

import importlib.util

import numpy as np
import pytest

from fastntk import DeepReLU, TwoLayerReLU, reference
from tests.model.torch_doubles import Linear, ReLU, Sequential


@pytest.mark.parametrize("n", [1, 17, 4100])
@pytest.mark.parametrize(("dtype", "slack"), [("float64", 1e-13), ("float32", 3e-6)])
def test_outputs_are_those_of_the_reference(rng, n, dtype, slack):
    X = rng.standard_normal((n, 7))
    net = DeepReLU.init(7, (65, 130, 3), 3, seed=1, dtype=dtype, scale=1.5)
    x = reference.deep_forward(X, [W.astype(float) for W in net.W], 1.5)[1]
    wanted, size = x[-1] @ net.a.astype(float), np.abs(x[-1]).sum(axis=1).max()
    assert net(X).dtype == np.float64
    assert np.abs(net(X) - wanted).max() <= slack * size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_hidden_layer_is_the_two_layer_network(rng, dtype):
    deep, flat = DeepReLU.init(6, 100, 1, seed=3, dtype=dtype), TwoLayerReLU.init(6, 100, seed=3, dtype=dtype)
    assert np.array_equal(deep.W[0], flat.W)
    assert np.array_equal(deep.a, flat.a)


def test_weights_are_those_of_the_reference():
    net = DeepReLU.init(70, (65, 130, 20), 3, seed=5, dtype="float64", output="gaussian")
    for layer, (W, columns) in enumerate(zip(net.W, (70, 65, 130), strict=True), 1):
        wanted = reference.drawn_weights(5, 0, len(W), columns, layer)
        assert np.abs(W - wanted).max() < 1e-13
    assert np.abs(net.a - reference.drawn_gaussians(5, 20)).max() < 1e-13
    assert DeepReLU.init(70, (65, 130, 20), 3, seed=5).widths == (65, 130, 20)
    assert np.array_equal(DeepReLU.init(70, 20, 3, seed=5).a, reference.drawn_signs(5, 0, 20))


def test_narrow_and_shallow_networks_are_parts_of_wide_and_deep_ones():
    small, large = DeepReLU.init(4, 50, 2, seed=1), DeepReLU.init(4, 80, 5, seed=1)
    assert np.array_equal(small.W[0], large.W[0][:50])
    assert np.array_equal(small.W[1], large.W[1][:50, :50])
    assert np.array_equal(small.a, large.a[:50])


def test_entries_of_all_layers_are_independent():
    """Correlations of a million products each are below 5 / 1000."""
    W = [w.ravel() for w in DeepReLU.init(1000, 1000, 4, seed=2, dtype="float64").W]
    for i in range(4):
        for j in range(i):
            assert abs(np.mean(W[i] * W[j])) < 5e-3
        assert abs(W[i].mean()) < 5e-3
        assert abs(W[i].var() - 1) < 1e-2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"depth": 2.0}, "depth must be an integer, got 2.0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"width": (3, 0)}, "width must be at least 1, got 0"),
        ({"width": (3, 3, 3)}, "width must be an integer or one for each of the 2 hidden layers, got 3"),
        ({"width": "33"}, "width must be an integer, got '33'"),
        ({"d": 0}, "d must be at least 1, got 0"),
        ({"scale": 0.0}, "scale must be finite and above 0, got 0.0"),
        ({"output": "ones"}, "output must be one of 'signs', 'gaussian', got 'ones'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"dtype": "int8"}, "dtype must be 'float32' or 'float64', got 'int8'"),
        ({"width": 10**9}, "a network of widths 1000000000, 1000000000 on 3 inputs needs"),
    ],
)
def test_bad_arguments_of_random_networks(changes, words):
    with pytest.raises((ValueError, TypeError, MemoryError), match=words):
        DeepReLU.init(**{"d": 3, "width": 4, "depth": 2, **changes})


@pytest.mark.parametrize(
    ("W", "a", "words"),
    [
        ([], [1.0], "W must be a list of at least one matrix"),
        (np.ones((2, 2)), [1.0, 1.0], "W must be a list of at least one matrix, the hidden layers, got ndarray"),
        (
            [np.ones((2, 3)), np.ones((4, 3))],
            np.ones(4),
            r"W\[1\] must have one column for each row of W\[0\] \(2\), got 3",
        ),
        ([np.ones((2, 3)), np.ones((4, 2), np.float32)], np.ones(4), "W must be of one precision, got float64"),
        ([np.ones((2, 3))], np.ones(3), r"a must have one entry for each row of W\[0\] \(2\), got 3"),
        ([[[np.nan]]], [1.0], r"W\[0\] must be finite"),
    ],
)  # fmt: skip
def test_bad_networks(W, a, words):
    with pytest.raises((ValueError, TypeError), match=words):
        DeepReLU(W, a)


def test_samples_must_have_the_columns_of_the_first_layer():
    with pytest.raises(ValueError, match=r"X and W\[0\] must have the same number of columns, got 2 and 3"):
        DeepReLU.init(3, 4, 2)([[1.0, 2.0]])


def test_from_torch_has_the_outputs_of_the_module(rng):
    shapes = ((5, 3), (4, 5), (6, 4), (1, 6))
    weights = [rng.standard_normal(shape) for shape in shapes]
    layers = [layer for weight in weights for layer in (Linear(weight), ReLU())][:-1]
    X = rng.standard_normal((8, 3))
    wanted = X
    for weight in weights[:-1]:
        wanted = np.maximum(wanted @ weight.T, 0)
    net = DeepReLU.from_torch(Sequential(*layers), scale=2**0.5)
    assert net.widths == (5, 4, 6)
    assert np.abs(net(X) - (wanted @ weights[-1].T)[:, 0]).max() < 1e-12
    with pytest.raises(
        ValueError, match=r"module must have the layers Linear, ReLU, \.\.\., Linear, got Linear, ReLU"
    ):
        DeepReLU.from_torch(Sequential(*layers[:-1]))


class TestTorch:
    """With PyTorch itself; collected only where it is installed."""

    __test__ = importlib.util.find_spec("torch") is not None

    def test_to_torch_and_back(self, rng):
        import torch

        net, X = DeepReLU.init(4, (9, 7), 2, seed=1, dtype="float64", scale=1.3), rng.standard_normal((6, 4))
        module = net.to_torch()
        assert np.abs(module(torch.tensor(X))[:, 0].detach().numpy() - net(X)).max() < 1e-13
        again = DeepReLU.from_torch(module, scale=1.3)
        for left, right in zip([*again.W, again.a], [*net.W, net.a], strict=True):
            assert np.abs(left - right).max() < 1e-14
