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
