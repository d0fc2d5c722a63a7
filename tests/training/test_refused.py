"""What `train` and `sweep` refuse beside values that a setting refuses by itself (`test_settings`): each once."""

import inspect

import numpy as np
import pytest

import fastntk
from fastntk import DeepReLU, TwoLayerReLU
from fastntk.base import memory
from fastntk.losses import Squared
from fastntk.optimizers import HeavyBall

X, Y = fastntk.datasets.sphere(6, 4)
FLOW = {"dynamics": "flow", "t_final": 1.0, "steps": 100}
DEEP = {"depth": 2}
GIVEN = {"width": None}
PATH = {"engine": "path"}
ONLY = "first layer on all samples: use engine='dual' or 'auto'"

REFUSED = [
    ({"X": np.full((6, 4), 1e25)}, "squared norms of the rows of X must be within the range of float32"),
    ({"X": np.full((6, 4), 1e200), "dtype": "float64"}, "within the range of float64, got inf"),
    ({"X": np.full((6, 4), 1e25), **PATH}, "within the range of float32"),
    ({"y": np.ones(5)}, r"y must have one entry for each row of X \(6\), got 5"),
    ({"y": np.full(6, 1e39)}, "y must be within the range of float32, got 1e.39"),
    ({"y": np.full(6, 1e39), **PATH}, "y must be within the range of float32, got 1e.39"),
    ({"threads": 0}, "threads must be at least 1, got 0"),
    ({"threads": 10**6}, "threads must be at most"),
    # The network.
    ({"width": None}, "exactly one of width and net must be given, got neither"),
    ({"width": None, **PATH}, "exactly one of width and net must be given, got neither"),
    ({"width": None, **DEEP}, "exactly one of width and net must be given, got neither"),
    ({"net": TwoLayerReLU.init(4, 2)}, "exactly one of width and net must be given, got both"),
    ({"net": DeepReLU.init(4, 4, 2), **DEEP}, "exactly one of width and net must be given, got both"),
    ({"net": 3, **GIVEN}, "net must be a TwoLayerReLU, got int"),
    ({"net": TwoLayerReLU.init(5, 2), **GIVEN}, "X and net.W must have the same number of columns"),
    ({"net": TwoLayerReLU.init(5, 2), **GIVEN, **PATH}, "X and net.W must have the same number of columns"),
    ({"net": DeepReLU.init(5, 4, 2), **GIVEN, **DEEP}, r"X and net.W\[0\] must have the same number of columns"),
    ({"net": TwoLayerReLU.init(4, 4), **GIVEN, **DEEP}, "net must be a DeepReLU with depth=2 and scale=1, got Two"),
    ({"net": DeepReLU.init(4, 4, 3), **GIVEN, **DEEP}, "depth must be that of net, 3, got 2"),
    ({"net": DeepReLU.init(4, 4, 2), "scale": 2.0, **GIVEN, **DEEP}, "scale must be that of net, 1.0, got 2.0"),
    ({"width": (4, 0), **DEEP}, "width must be at least 1, got 0"),
    ({"width": (4, 4, 4), **DEEP}, "width must be an integer or one for each of the 2 hidden layers, got 3"),
    ({"width": 5, "paired": True, **PATH}, r"width must be even with paired=True, got 5"),
    # Losses, optimizers, batches.
    ({"loss": Squared}, "loss must be one of 'squared', 'logistic', 'huber' or a Loss .*, got"),
    ({"loss": "logistic", "y": np.ones(6) / 2}, r"y must hold the labels -1 and \+1 for loss='logistic', got 0.5"),
    ({"optimizer": HeavyBall}, "optimizer must be one of 'gd', 'heavy_ball', 'nesterov' or .*, got"),
    ({"batch_size": 7}, r"batch_size must be at most the number of samples \(6\), got 7"),
    # Flows.
    ({"dynamics": "flow", "steps": 100}, "t_final must be given for dynamics='flow'"),
    ({**FLOW, "times": [0.5, 0.2]}, "times must be ascending from 0"),
    ({**FLOW, "times": [-0.5]}, "times must be ascending from 0"),
    ({**FLOW, "times": [1.5]}, "times must be ascending .* at most t_final = 1"),
    # The path engine.
    ({"layers": "both", **PATH}, f"{ONLY}.*layers='both'"),
    ({"layers": "second", **PATH}, f"{ONLY}.*layers='second'"),
    ({"batch_size": 3, **PATH}, f"{ONLY}.*batch_size=3"),
    # Several hidden layers.
    ({"layers": "first", **DEEP}, "layers at depth 2 must be one of 'hidden', 'output', 'all', got 'first'"),
    ({"layers": (1, 4), **DEEP}, "layers must be numbers from 1 to 3 at depth 2, the last for the output, got 4"),
    ({"layers": 0, **DEEP}, "layers must be at least 1, got 0"),
    ({"layers": (), **DEEP}, "layers must hold at least one integer, got none"),
    ({"engine": "dual", **DEEP}, "engine must be 'auto' with depth=2 and scale=1, got 'dual'"),
    ({"engine": "cuda", **DEEP}, "engine must be 'auto' with depth=2 and scale=1, got 'cuda'"),
    ({"kappa": 0.5, **DEEP}, "kappa must be 1.0 with depth=2"),
    ({"paired": True, **DEEP}, "paired must be False with depth=2"),
    ({"output": "gaussian"}, "output must be 'signs' with depth=1 and scale=1, got 'gaussian'"),
    ({**FLOW, **DEEP}, "dynamics must be 'descent' with depth=2"),
    ({"metrics": "drift_norm"}, "metrics may name 'drift_norm' at a depth above 1 only"),
    # Memory.
    ({"width": 10**13}, r"width 10000000000000 on 4 inputs needs 1.86e\+05 GiB"),
    ({"width": 10**13, **PATH}, "the path engine for n=6 samples and m=10000000000000"),
    ({"width": 10**8, **DEEP}, "a network of widths 100000000, 100000000 on 4 inputs needs"),
]  # fmt: skip


def takes(function, change):
    return set(change) <= set(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("function", "change", "words"),
    [(f, *row) for row in REFUSED for f in (fastntk.train, fastntk.sweep) if takes(f, row[0])],
)
def test_it_is_refused_by_its_name(function, change, words):
    widths = {"widths": [10]} if function is fastntk.sweep else {"width": 10}
    with pytest.raises((ValueError, TypeError, fastntk.MemoryLimitError), match=words):
        function(**{"X": X, "y": Y, **widths, "steps": 1, **change})


def test_the_message_names_both_sizes(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**20)
    with pytest.raises(
        fastntk.MemoryLimitError, match=r"needs 0.\d+ GiB of memory, but only 0.000977 GiB are available"
    ):
        fastntk.train(X, Y, width=10**5)
