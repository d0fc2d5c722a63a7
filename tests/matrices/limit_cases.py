"""Points, and the limiting kernels of few layers."""

import numpy as np

LAYERS = ("first", "second", "both")
CASES = [("first", 1), ("second", 1), ("both", 1), ("second", 2), ("both", 2), ("second", 5), ("both", 5)]


def points(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))
