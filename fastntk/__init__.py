"""fastntk: wide two-layer ReLU networks, their activation patterns and their neural tangent kernels, at full speed.

Public names are loaded on first use, so that ``import fastntk`` is quick and compiles nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastntk.compilation.process import prepare as _prepare_process
from fastntk.device.dispatch import register as _register

if TYPE_CHECKING:
    from fastntk import datasets, losses, optimizers, reference
    from fastntk.base.errors import (
        ClusterError,
        ConvergenceWarning,
        DeviceError,
        DivergenceError,
        MemoryLimitError,
        SingularGramWarning,
        ToleranceError,
    )
    from fastntk.base.packing import PackedMasks
    from fastntk.device.dispatch import Backend
    from fastntk.device.masks import DevicePackedMasks
    from fastntk.matrices.finite import gram
    from fastntk.matrices.intervals import GramInterval, gram_interval
    from fastntk.matrices.limit import limit_gram, limit_profile
    from fastntk.matrices.operators import GramOperator, gram_operator
    from fastntk.matrices.plan_table import Plan
    from fastntk.matrices.planning import plan
    from fastntk.model.deep import DeepReLU
    from fastntk.model.gradient import loss_gradient
    from fastntk.model.network import TwoLayerReLU
    from fastntk.model.patterns import (
        activation_masks,
        coactivation_counts,
        flip_count,
        flip_fraction,
        flip_marginals,
    )
    from fastntk.results import Diagnostics, Run, Sweep
    from fastntk.results.loading import load
    from fastntk.spectra import Eigenvalue, Enclosed, Spectrum, condition_number, lambda_min, spectrum
    from fastntk.spectra.alignment import LabelProjections, generalization_complexity, label_projections
    from fastntk.spectra.regression import KernelRegression, kernel_regression
    from fastntk.theory.predictions import Prediction, predict
    from fastntk.theory.rates import Rates, convergence_rates
    from fastntk.theory.verification import Verification, verify
    from fastntk.training.sweeps import sweep
    from fastntk.training.train import train

__version__ = "0.2.0"

_HOME = {
    "ClusterError": "base.errors",
    "ConvergenceWarning": "base.errors",
    "DeepReLU": "model.deep",
    "DeviceError": "base.errors",
    "DevicePackedMasks": "device.masks",
    "Diagnostics": "results",
    "DivergenceError": "base.errors",
    "Eigenvalue": "spectra",
    "Enclosed": "spectra",
    "GramInterval": "matrices.intervals",
    "GramOperator": "matrices.operators",
    "KernelRegression": "spectra.regression",
    "LabelProjections": "spectra.alignment",
    "MemoryLimitError": "base.errors",
    "PackedMasks": "base.packing",
    "Plan": "matrices.plan_table",
    "Prediction": "theory.predictions",
    "Rates": "theory.rates",
    "Run": "results",
    "SingularGramWarning": "base.errors",
    "Spectrum": "spectra",
    "Sweep": "results",
    "ToleranceError": "base.errors",
    "TwoLayerReLU": "model.network",
    "Verification": "theory.verification",
    "activation_masks": "model.patterns",
    "coactivation_counts": "model.patterns",
    "condition_number": "spectra",
    "convergence_rates": "theory.rates",
    "flip_count": "model.patterns",
    "flip_fraction": "model.patterns",
    "flip_marginals": "model.patterns",
    "generalization_complexity": "spectra.alignment",
    "gram": "matrices.finite",
    "gram_interval": "matrices.intervals",
    "gram_operator": "matrices.operators",
    "kernel_regression": "spectra.regression",
    "label_projections": "spectra.alignment",
    "lambda_min": "spectra",
    "limit_gram": "matrices.limit",
    "limit_profile": "matrices.limit",
    "load": "results.loading",
    "loss_gradient": "model.gradient",
    "plan": "matrices.planning",
    "predict": "theory.predictions",
    "spectrum": "spectra",
    "sweep": "training.sweeps",
    "train": "training.train",
    "verify": "theory.verification",
}

__all__ = [
    "ClusterError",
    "ConvergenceWarning",
    "DeepReLU",
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


def _gpu() -> "Backend":
    """What computes on a GPU, loaded when something there is first asked for."""
    from fastntk.cuda.backend import BACKEND

    return BACKEND


_prepare_process()
_register(_gpu)
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
