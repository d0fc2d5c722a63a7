"""What is no array of finite real numbers of the right shape is refused in the same words by every public function."""

import re

import numpy as np
import pytest

import fastntk
from fastntk import TwoLayerReLU
from fastntk.spectra import lambda_max

GOOD = {
    "X": np.eye(3), "Z": np.eye(3), "W": np.ones((2, 3)), "a": np.ones(2), "y": np.ones(3), "H": np.eye(3),
}  # fmt: skip

CALLS = {
    "limit_gram": ("X Z", fastntk.limit_gram),
    "gram": ("X W a Z", fastntk.gram),
    "gram_interval": ("X", lambda X: fastntk.gram_interval(X, width=4)),
    "gram_operator": ("X Z", fastntk.gram_operator),
    "activation_masks": ("X W", fastntk.activation_masks),
    "loss_gradient": ("X y W a", fastntk.loss_gradient),
    "TwoLayerReLU": ("W a", TwoLayerReLU),
    "outputs": ("X", TwoLayerReLU.init(3, 2)),
    "train": ("X y", lambda X, y: fastntk.train(X, y, width=2, steps=1)),
    "sweep": ("X y", lambda X, y: fastntk.sweep(X, y, [2], steps=1)),
    "predict": ("X y", lambda X, y: fastntk.predict(X, y, width=2, steps=1)),
    "kernel_regression": ("H y", fastntk.kernel_regression),
    "label_projections": ("H y", fastntk.label_projections),
    "generalization_complexity": ("H y", fastntk.generalization_complexity),
    "lambda_min": ("H", fastntk.lambda_min),
    "lambda_max": ("H", lambda_max),
    "spectrum": ("H", lambda H: fastntk.spectrum(H, 1)),
    "condition_number": ("H", fastntk.condition_number),
}


def with_entry(entry):
    def make(values):
        values = values.copy()
        values[(-1,) * values.ndim] = entry
        return values

    return make


# How an array goes wrong, and what the error says after its name.
BAD = {
    "nan": (with_entry(np.nan), ValueError, r"must be finite, got nan at index"),
    "-inf": (with_entry(-np.inf), ValueError, r"must be finite, got -inf at index"),
    "complex": (lambda values: values * 1j, TypeError, "must be real numbers, got dtype complex128"),
    "words": (lambda values: values.astype(str), TypeError, "must be real numbers, got dtype <U32"),
    "nothing": (lambda values: values[:0], ValueError, "must not be empty, got shape"),
    "a number": (lambda values: 1.0, ValueError, r"must have \d dimension\(s\), got shape \(\)"),
    "too deep": (
        lambda values: values[None, None],
        ValueError,
        r"must have \d dimension\(s\), got shape \(1, 1, ",
    ),
    "None inside": (
        lambda values: with_entry(None)(values.astype(object)),
        ValueError,
        "must have no missing values",
    ),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(
    ("name", "argument"), [(name, arg) for name, (args, _) in CALLS.items() for arg in args.split()]
)
def test_bad_arrays_are_refused_by_name(name, argument, kind):
    arguments, call = CALLS[name]
    make, error, message = BAD[kind]
    given = {arg: make(GOOD[arg]) if arg == argument else GOOD[arg].copy() for arg in arguments.split()}
    with pytest.raises(error, match=rf"^{re.escape(argument)} {message}"):
        call(*given.values())


EYE, J, M = np.eye(2), np.ones((4, 3)), np.ones((4, 2), bool)
ONE = [[1.0]]
BEYOND = np.full((4, 3), -1e39)
LAYERS = "layers must be one of 'first', 'second', 'both'"
BASE = {
    "activation_masks": (fastntk.activation_masks, {"X": J, "W": np.ones((2, 3))}),
    "coactivation_counts": (fastntk.coactivation_counts, {}),
    "flip_count": (fastntk.flip_count, {"masks_a": M, "masks_b": M}),
    "flip_fraction": (fastntk.flip_fraction, {"masks_a": M, "masks_b": M}),
    "flip_marginals": (fastntk.flip_marginals, {"masks_a": M, "masks_b": M}),
    "loss_gradient": (
        fastntk.loss_gradient,
        {"X": J, "y": np.ones(4), "W": np.ones((2, 3)), "a": np.ones(2)},
    ),
    "init": (TwoLayerReLU.init, {"d": 3, "width": 4}),
    "network": (TwoLayerReLU, {"W": np.ones((2, 2)), "a": np.ones(2)}),
    "outputs": (TwoLayerReLU.init(4, 5), {}),
    "gram": (fastntk.gram, {"X": J}),
    "limit_gram": (fastntk.limit_gram, {"X": ONE}),
    "gram_operator": (fastntk.gram_operator, {"X": EYE}),
    "predict": (fastntk.predict, {"X": J, "y": np.ones(4), "width": 5}),
}

# Arguments that are wrong beside the others, by function: what changes, the error, its words.
V, T = ValueError, TypeError
FLIPS = (
    ({"masks_b": M[:, :1]}, V, r"same shape, got \(4, 2\) and \(4, 1\)"),
    ({"masks_b": np.ones((4, 2))}, V, "masks_b must be a non-empty boolean matrix"),
    ({"masks_a": None}, T, "masks_a must be PackedMasks or a boolean matrix, got NoneType"),
)
WRONG = {
    "activation_masks": [
        ({"W": np.ones((2, 4))}, V, "X and W must have the same number of columns, got 3 and 4"),
        ({"X": [[1, 2], [3]]}, V, "X must be a 2-dimensional array of numbers"),
        ({"X": [[1e300]], "W": np.ones((1, 1), "f4")}, V, "X must be within the range of float32, got 1e.300"),
    ],
    "coactivation_counts": [
        ({"masks": [[True]]}, T, "masks must be PackedMasks or a boolean matrix, got list"),
        ({"masks": np.ones((2, 2))}, V, "masks must be a non-empty boolean matrix, got float64"),
        ({"masks": np.ones(2, bool)}, V, r"masks must be a non-empty boolean matrix, got bool of shape \(2,\)"),
        ({"masks": M[:0]}, V, "masks must be a non-empty boolean matrix"),
    ],
    **{name: FLIPS for name in BASE if name.startswith("flip")},
    "loss_gradient": [
        ({"y": np.ones(3)}, V, r"y must have one entry for each row of X \(4\), got 3"),
        ({"a": np.ones(5)}, V, r"a must have one entry for each row of W \(2\), got 5"),
        ({"X": np.ones((4, 2))}, V, "X and W must have the same number of columns, got 2 and 3"),
        ({"W": np.ones((2, 3), "f4"), "y": np.full(4, 1e39)}, V, "y must be within the range of float32"),
        ({"W": np.ones((2, 3), "f4"), "X": BEYOND}, V, "X must be within the range of float32"),
    ],
    "init": [
        ({"d": 0}, V, "d must be at least 1, got 0"),
        ({"width": -3}, V, "width must be at least 1, got -3"),
        ({"width": 2.0}, T, "width must be an integer, got 2.0"),
        ({"width": True}, T, "width must be an integer, got True"),
        ({"seed": -1}, V, "seed must be at least 0, got -1"),
        ({"seed": None}, T, "seed must be an integer, got None"),
        ({"dtype": "float16"}, V, "dtype must be 'float32' or 'float64', got 'float16'"),
        ({"width": 5, "paired": True}, V, "width must be even with paired=True, got 5"),
        ({"kappa": 0.0}, V, "kappa must be finite and above 0, got 0.0"),
        ({"kappa": -1}, V, "kappa must be finite and above 0, got -1"),
    ],
    "network": [
        ({"a": [1.0]}, V, r"a must have one entry for each row of W \(2\), got 1"),
        ({"W": np.ones((1, 2), "f4"), "a": [1e300]}, V, "a must be within the range of float32, got 1e.300"),
    ],
    "outputs": [
        ({"X": np.ones((3, 2))}, V, "X and W must have the same number of columns, got 2 and 4"),
        ({"X": np.full((1, 4), 1e300)}, V, "X must be within the range of float32"),
    ],
    "gram": [
        ({}, V, "exactly one of W, masks and width must be given, got none"),
        ({"W": J[:2], "masks": M}, V, "got W and masks"),
        ({"W": J[:2], "width": 5}, V, "got W and width"),
        ({"W": np.ones((2, 2))}, V, "X and W must have the same number of columns, got 3 and 2"),
        ({"masks": np.ones((5, 2), bool)}, V, r"one row for each row of X \(4\), got 5"),
        ({"masks": np.ones((4, 2))}, V, "masks must be a non-empty boolean matrix"),
        ({"masks": [[True]] * 4}, T, "masks must be PackedMasks or a boolean matrix, got list"),
        ({"masks": M, "layers": "both"}, V, "layers='both' needs W or width"),
        ({"masks": (M, M)}, T, "without Z, got a tuple"),
        ({"masks": M, "Z": J[:2]}, T, "masks must be a pair with Z"),
        ({"masks": (M, np.ones((2, 3), bool)), "Z": J[:2]}, V, "of the same neurons, got 2 for X and 3 for Z"),
        ({"masks": (M, np.ones((5, 2), bool)), "Z": J[:2]}, V, r"one row for each row of Z \(2\), got 5"),
        ({"W": J[:2], "Z": np.ones((2, 2))}, V, "X and Z must have the same number of col"),
        ({"W": J[:2], "layers": "third"}, V, LAYERS),
        ({"W": J[:2], "dtype": "int64"}, V, "dtype must be 'float32' or 'float64'"),
        ({"width": 0}, V, "width must be at least 1, got 0"),
        ({"width": 2.5}, T, "width must be an integer, got 2.5"),
        ({"width": 2, "seed": -1}, V, "seed must be at least 0, got -1"),
        ({"width": 2, "a": [1.0, 2.0, 3.0]}, V, r"one entry for each row of width \(2\), got 3"),
        ({"W": J[:2], "a": [1.0]}, V, "a must have one entry for each row of W"),
    ],
    "limit_gram": [
        ({"X": [[1e200, 0.0]]}, V, "X must have rows whose squared length"),
        ({"Z": [[1e200]]}, V, "Z must have rows whose squared length"),
        ({"Z": [[1.0, 2.0]]}, V, "X and Z must have the same number of columns"),
        ({"layers": "all"}, V, "layers must be one of"),
        ({"depth": 0}, V, "depth must be at least 1"),
        ({"depth": 1.0}, T, "depth must be an integer"),
        ({"depth": 2}, V, "depth must be 1 for layers='first'"),
        ({"depth": 2000, "layers": "both"}, V, "scale must keep"),
        ({"depth": 2000, "layers": "both", "scale": 1e9}, V, "scale must keep"),
        ({"scale": 0.0}, V, "scale must be finite and above 0"),
        ({"X": [[1e30]], "dtype": "float32"}, V, "from the rows of X, must be within the range of float32"),
        ({"dtype": "int32"}, V, "dtype must be"),
        ({"out": [[0.0]]}, T, "out must be"),
        ({"out": np.empty((2, 1))}, V, "out must have shape"),
        ({"out": np.empty((1, 1), "f4")}, V, "out must have shape"),
        ({"X": EYE, "out": np.empty((2, 2)).T}, V, "C-contiguous"),
    ],
    "gram_operator": [
        ({"a": [1.0]}, V, "a belongs to a network"),
        ({"W": [[1.0, 0.0]], "depth": 2}, V, "depth and scale belong to the limit"),
        ({"width": 5, "scale": 2.0}, V, "depth and scale belong to the limit"),
        ({"layers": "third"}, V, LAYERS),
        ({"depth": 0}, V, "depth must be at least 1"),
        ({"dtype": "int8"}, V, "dtype must be"),
        ({"Z": ONE}, V, "same number of columns"),
    ],
    "predict": [
        ({"kernel": "final"}, V, "kernel must be one of 'initial', 'limit', got 'final'"),
        ({"times": [1.0, 0.5]}, V, "times must be ascending and not negative"),
        ({"times": [-1.0]}, V, "times must be ascending and not negative"),
        ({"lr": 0.0}, V, "lr must be finite and above 0"),
        ({"width": None}, V, "exactly one of width and net must be given, got neither"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "error", "words"), [(name, *row) for name, rows in WRONG.items() for row in rows]
)
def test_what_does_not_fit_is_named(name, change, error, words):
    function, arguments = BASE[name]
    with pytest.raises(error, match=words):
        function(**arguments | change)
