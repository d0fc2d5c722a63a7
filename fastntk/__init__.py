"""fastntk: wide two-layer ReLU networks, their activation patterns and their neural tangent kernels, at full speed.

Public names are loaded on first use, so that ``import fastntk`` is quick and compiles nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastntk import datasets, reference
    from fastntk.errors import DivergenceError, MemoryLimitError
    from fastntk.gradient import loss_gradient
    from fastntk.gram_matrix import gram
    from fastntk.limit import limit_gram
    from fastntk.loading import load
    from fastntk.masks import activation_masks, coactivation_counts, flip_count, flip_fraction
    from fastntk.network import TwoLayerReLU
    from fastntk.packing import PackedMasks
    from fastntk.results import Run
    from fastntk.spectra import Eigenvalue, lambda_min
    from fastntk.sweeps import Sweep, sweep
    from fastntk.training import train

__version__ = "0.1.0"

_HOME = {
    "DivergenceError": "errors",
    "Eigenvalue": "spectra",
    "MemoryLimitError": "errors",
    "PackedMasks": "packing",
    "Run": "results",
    "Sweep": "sweeps",
    "TwoLayerReLU": "network",
    "activation_masks": "masks",
    "coactivation_counts": "masks",
    "flip_count": "masks",
    "flip_fraction": "masks",
    "gram": "gram_matrix",
    "lambda_min": "spectra",
    "limit_gram": "limit",
    "load": "loading",
    "loss_gradient": "gradient",
    "sweep": "sweeps",
    "train": "training",
}

__all__ = [
    "DivergenceError",
    "Eigenvalue",
    "MemoryLimitError",
    "PackedMasks",
    "Run",
    "Sweep",
    "TwoLayerReLU",
    "activation_masks",
    "coactivation_counts",
    "datasets",
    "flip_count",
    "flip_fraction",
    "gram",
    "lambda_min",
    "limit_gram",
    "load",
    "loss_gradient",
    "reference",
    "sweep",
    "train",
]
_SUBMODULES = ("datasets", "reference")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"fastntk.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(f"fastntk.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fastntk' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
