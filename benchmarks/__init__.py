"""Comparisons of every kernel and of whole runs with plain NumPy, BLAS and, where installed, torch.

One registry (`cases.CASES`) feeds both ``pytest benchmarks`` (small sizes, pytest-benchmark) and the report
(``fastntk bench`` or ``python -m benchmarks.report``).
"""
