"""fastntk: wide two-layer ReLU networks, their activation patterns and their neural tangent kernels, at full speed.

Public names are loaded on first use, so that ``import fastntk`` is quick and compiles nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastntk import datasets, losses, optimizers, reference
    from fastntk.alignment import LabelProjections, generalization_complexity, label_projections
    from fastntk.device_masks import DevicePackedMasks
    from fastntk.errors import (
        ConvergenceWarning,
        DeviceError,
        DivergenceError,
        MemoryLimitError,
        SingularGramWarning,
        ToleranceError,
    )
    from fastntk.gradient import loss_gradient
    from fastntk.gram_confidence import GramInterval, gram_interval
    from fastntk.gram_matrix import gram
    from fastntk.limit import limit_gram, limit_profile
    from fastntk.loading import load
    from fastntk.masks import activation_masks, coactivation_counts, flip_count, flip_fraction, flip_marginals
    from fastntk.network import TwoLayerReLU
    from fastntk.operators import GramOperator, gram_operator
    from fastntk.packing import PackedMasks
    from fastntk.planning import Plan, plan
    from fastntk.predictions import Prediction, predict
    from fastntk.rates import Rates, convergence_rates
    from fastntk.regression import KernelRegression, kernel_regression
    from fastntk.results import Diagnostics, Run, Sweep
    from fastntk.spectra import Eigenvalue, Enclosed, Spectrum, condition_number, lambda_min, spectrum
    from fastntk.sweeps import sweep
    from fastntk.training import train
    from fastntk.verification import Verification, verify

__version__ = "0.1.0"

_HOME = {
    "ConvergenceWarning": "errors",
    "DeviceError": "errors",
    "DevicePackedMasks": "device_masks",
    "Diagnostics": "results",
    "DivergenceError": "errors",
    "Eigenvalue": "spectra",
    "Enclosed": "spectra",
    "GramInterval": "gram_confidence",
    "GramOperator": "operators",
    "KernelRegression": "regression",
    "LabelProjections": "alignment",
    "MemoryLimitError": "errors",
    "PackedMasks": "packing",
    "Plan": "planning",
    "Prediction": "predictions",
    "Rates": "rates",
    "Run": "results",
    "SingularGramWarning": "errors",
    "Spectrum": "spectra",
    "Sweep": "results",
    "ToleranceError": "errors",
    "TwoLayerReLU": "network",
    "Verification": "verification",
    "activation_masks": "masks",
    "coactivation_counts": "masks",
    "condition_number": "spectra",
    "convergence_rates": "rates",
    "flip_count": "masks",
    "flip_fraction": "masks",
    "flip_marginals": "masks",
    "generalization_complexity": "alignment",
    "gram": "gram_matrix",
    "gram_interval": "gram_confidence",
    "gram_operator": "operators",
    "kernel_regression": "regression",
    "label_projections": "alignment",
    "lambda_min": "spectra",
    "limit_gram": "limit",
    "limit_profile": "limit",
    "load": "loading",
    "loss_gradient": "gradient",
    "plan": "planning",
    "predict": "predictions",
    "spectrum": "spectra",
    "sweep": "sweeps",
    "train": "training",
    "verify": "verification",
}

__all__ = [
    "ConvergenceWarning",
    "DeviceError",
    "DevicePackedMasks",
    "Diagnostics",
    "DivergenceError",
    "Eigenvalue",
    "Enclosed",
    "GramInterval",
    "GramOperator",
    "KernelRegression",
    "LabelProjections",
    "MemoryLimitError",
    "PackedMasks",
    "Plan",
    "Prediction",
    "Rates",
    "Run",
    "SingularGramWarning",
    "Spectrum",
    "Sweep",
    "ToleranceError",
    "TwoLayerReLU",
    "Verification",
    "activation_masks",
    "coactivation_counts",
    "condition_number",
    "convergence_rates",
    "datasets",
    "flip_count",
    "flip_fraction",
    "flip_marginals",
    "generalization_complexity",
    "gram",
    "gram_interval",
    "gram_operator",
    "kernel_regression",
    "label_projections",
    "lambda_min",
    "limit_gram",
    "limit_profile",
    "load",
    "loss_gradient",
    "losses",
    "optimizers",
    "plan",
    "predict",
    "reference",
    "spectrum",
    "sweep",
    "train",
    "verify",
]
_SUBMODULES = ("datasets", "losses", "optimizers", "reference")


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
