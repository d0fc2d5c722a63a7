"""Samples, targets and other points."""

import numpy as np
import pytest


@pytest.fixture
def data(rng):
    X = rng.standard_normal((40, 4))
    return X, np.abs(X[:, 0]) + 0.1 * X[:, 1], rng.standard_normal((7, 4))
