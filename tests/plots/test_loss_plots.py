"""The comparison of optimizers as a figure."""

import numpy as np
import pytest

import fastntk
from fastntk.optimizers import OPTIMIZERS
from fastntk.plots.losses import contraction, plot_losses
from fastntk.results import Run


def test_contraction_is_the_factor_of_a_geometric_loss():
    steps = np.arange(0, 41, 4)
    assert contraction(Run(steps=steps, loss=3.0 * 0.8**steps)) == pytest.approx(0.8)
    assert np.isnan(contraction(Run(steps=[0, 1, 2], loss=[1.0, 0.0, 0.0])))


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_figure_shows_every_optimizer(tmp_path, suffix):
    X, y = fastntk.datasets.sphere(20, 6, seed=0)
    runs = {name: fastntk.train(X, y, width=300, steps=60, lr=0.2, optimizer=name) for name in OPTIMIZERS}
    assert contraction(runs["nesterov"]) < contraction(runs["gd"])
    path = plot_losses(runs, tmp_path / f"losses.{suffix}", dpi=60)
    assert path.stat().st_size > 1000
    if suffix == "svg":
        text = path.read_text()
        for name, run in runs.items():
            assert f"{name}: {contraction(run):.4f} per step" in text


@pytest.mark.parametrize(
    ("runs", "name", "message"),
    [
        ({}, "a.png", "runs: got none"),
        ({"one": Run(steps=[0], loss=[1.0])}, "a.png", "run: got 1 logged steps"),
        ({"two": Run(steps=[0, 1], loss=[1.0, 0.5])}, "a.gif", "expected a file name ending in .png"),
    ],
)
def test_bad_input(tmp_path, runs, name, message):
    with pytest.raises(ValueError, match=message):
        plot_losses(runs, tmp_path / name)
    assert not list(tmp_path.iterdir())
