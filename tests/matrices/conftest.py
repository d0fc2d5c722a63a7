"""Matrices that are computed block by block."""

import pytest

from fastntk.matrices.limit import limit_source
from tests.matrices.tiled_targets import N


@pytest.fixture
def source(rng):
    return limit_source(rng.integers(-3, 4, (N, 7)))  # exact products: no rounding depends on the blocks


@pytest.fixture
def cross(rng):
    return limit_source(rng.integers(-3, 4, (N, 7)), rng.integers(-3, 4, (37, 7)), dtype="float32")
