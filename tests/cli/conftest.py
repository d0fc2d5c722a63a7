"""Data in a file."""

import pytest

import fastntk


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.csv"
    fastntk.datasets.save_csv(path, *fastntk.datasets.sphere(12, 6, seed=3))
    return path
