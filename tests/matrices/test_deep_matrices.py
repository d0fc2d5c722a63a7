"""Gram matrices of deep networks, at finite width and in the limit, one layer at a time."""

import numpy as np
import pytest

import fastntk
from fastntk import DeepReLU, TwoLayerReLU, reference


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize(("dtype", "slack"), [("float64", 1e-13), ("float32", 2e-6)])
def test_limits_of_layers_are_those_of_the_reference(rng, depth, dtype, slack):
    X = rng.standard_normal((40, 3))
    X[3], X[7] = 2 * X[4] + 1e-5, -X[8] + 1e-6  # nearly parallel, and opposite
    terms = reference.deep_limits(X, depth, 1.3)
    sizes = np.sqrt(np.outer(terms[0].diagonal(), terms[0].diagonal()))
    for layer, wanted in enumerate(terms, 1):
        found = fastntk.limit_gram(X, layers=layer, depth=depth, scale=1.3, dtype=dtype)
        assert np.array_equal(found, found.T)
        assert (np.abs(found - wanted) / sizes).max() <= slack * depth
        cross = fastntk.limit_gram(X[:30], X[30:], layers=layer, depth=depth, scale=1.3, dtype=dtype)
        assert (np.abs(cross - wanted[:30, 30:]) / sizes[:30, 30:]).max() <= slack * depth


def test_layers_of_the_limit_sum_to_both(rng):
    X = rng.standard_normal((30, 4))
    for depth in (1, 2, 4):
        total = sum(fastntk.limit_gram(X, layers=layer, depth=depth) for layer in range(1, depth + 2))
        assert np.abs(total - fastntk.limit_gram(X, layers="both", depth=depth)).max() < 1e-13


@pytest.mark.parametrize("value", [0, 4, -1, 1.5, True, None])
def test_numbers_that_are_no_layer_of_a_limit(value):
    with pytest.raises((ValueError, TypeError), match="layers must be"):
        fastntk.limit_gram([[1.0, 0.0]], layers=value, depth=2)


@pytest.mark.parametrize("output", ["signs", "gaussian"])
@pytest.mark.parametrize(("dtype", "slack"), [("float64", 1e-13), ("float32", 3e-6)])
def test_gram_of_a_network(rng, output, dtype, slack):
    X = rng.standard_normal((70, 9))
    net = DeepReLU.init(9, (90, 130, 65), 3, seed=1, dtype=dtype, scale=2**0.5, output=output)
    wanted = reference.deep_grams(X, [W.astype(float) for W in net.W], net.a.astype(float), net.scale)
    for layers, numbers in (
        ("hidden", (1, 2, 3)),
        ("output", (4,)),
        ("all", (1, 2, 3, 4)),
        ((2, 4), (2, 4)),
        (3, (3,)),
    ):
        found = fastntk.gram(X, net=net, layers=layers)
        total = sum(wanted[number - 1] for number in numbers)
        assert np.array_equal(found, found.T)
        assert np.abs(found - total).max() <= slack * np.abs(total).max()
    assert np.array_equal(fastntk.gram(X, net=net), fastntk.gram(X, net=net, layers="hidden"))


def test_gram_of_one_hidden_layer_is_that_of_two_layers(rng):
    X = rng.standard_normal((30, 5))
    flat = TwoLayerReLU.init(5, 200, seed=2, dtype="float64")
    deep = DeepReLU.init(5, 200, 1, seed=2, dtype="float64")
    for layers in ("first", "second", "both"):
        wanted = fastntk.gram(X, flat.W, layers=layers)
        assert np.array_equal(fastntk.gram(X, net=flat, layers=layers), wanted)
        assert np.abs(fastntk.gram(X, net=deep, layers=layers) - wanted).max() < 1e-14


def test_out_is_filled(rng):
    X, net = rng.standard_normal((5, 3)), DeepReLU.init(3, 20, 2)
    out = np.empty((5, 5), np.float32)
    assert fastntk.gram(X, net=net, dtype="float32", out=out) is out
    assert np.array_equal(out, fastntk.gram(X, net=net, dtype="float32"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": "first "}, "layers at depth 2 must be one of 'hidden', 'output', 'all', got 'first '"),
        ({"layers": (1, 4)}, "layers must be numbers from 1 to 3 at depth 2, the last for the output, got 4"),
        ({"layers": 0}, "layers must be at least 1, got 0"),
        ({"layers": ()}, "layers must hold at least one integer, got none"),
        ({"W": np.ones((2, 3))}, "net must be given alone"),
        ({"Z": np.ones((2, 3))}, "Z must not be given with a DeepReLU"),
        ({"net": 3}, "net must be a TwoLayerReLU or a DeepReLU, got int"),
        ({"X": np.ones((4, 2))}, r"X and net.W\[0\] must have the same number of columns, got 2 and 3"),
        ({"out": np.empty((3, 3))}, r"out must be an array of shape \(4, 4\)"),
    ],
)
def test_bad_arguments(changes, words):
    arguments = {"X": np.ones((4, 3)), "net": DeepReLU.init(3, 5, 2), **changes}
    with pytest.raises((ValueError, TypeError), match=words):
        fastntk.gram(arguments.pop("X"), **arguments)
