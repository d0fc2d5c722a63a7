"""Numba kernels for the CPU, one file per operation."""
