"""Extreme eigenvalues of symmetric matrices, each with a bound on its error: once, or along a run."""

from fastntk.spectra.eigenvalue import Eigenvalue
from fastntk.spectra.extremes import lambda_max, lambda_min, spectral_norm
from fastntk.spectra.tracking import SmallestEigenvalue, SpectralNorm

__all__ = ["Eigenvalue", "SmallestEigenvalue", "SpectralNorm", "lambda_max", "lambda_min", "spectral_norm"]
