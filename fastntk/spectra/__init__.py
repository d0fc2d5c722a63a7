"""Eigenvalues of symmetric matrices and operators, each with proven bounds: once, or along a run."""

from fastntk.spectra.conditioning import condition_number
from fastntk.spectra.eigenvalue import Eigenvalue
from fastntk.spectra.enclosed import Enclosed
from fastntk.spectra.extremes import lambda_max, lambda_min, spectral_norm
from fastntk.spectra.norm import SpectralNorm
from fastntk.spectra.pairs import Spectrum, spectrum
from fastntk.spectra.tracking import SmallestEigenvalue

__all__ = [
    "Eigenvalue",
    "Enclosed",
    "SmallestEigenvalue",
    "SpectralNorm",
    "Spectrum",
    "condition_number",
    "lambda_max",
    "lambda_min",
    "spectral_norm",
    "spectrum",
]
