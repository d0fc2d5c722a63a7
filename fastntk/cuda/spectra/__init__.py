"""Eigenvalues of matrices on a GPU: of one, with proof, and of many that change slowly."""

from fastntk.cuda.spectra.certified import (
    Follower,
    label_projections,
    lambda_min,
    pairs,
    proven_solution,
    spectral_norm,
)

__all__ = ["Follower", "label_projections", "lambda_min", "pairs", "proven_solution", "spectral_norm"]
