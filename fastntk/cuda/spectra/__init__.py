"""Eigenvalues of matrices on a GPU: of one, with proof, and of many that change slowly."""
