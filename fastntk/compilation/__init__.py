"""The only place that calls a compiler: Numba, numba-cuda, their caches on disk, threads."""
