"""Compiled kernels: outputs are passed in, arguments are not checked, nothing is allocated in parallel bodies."""
