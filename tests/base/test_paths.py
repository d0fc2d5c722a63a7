"""A leading ~ is the home of the user wherever a path is taken; nothing of that name appears where one works."""

import os

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk.cli import main

X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]])
Y = np.array([1.0, -1.0, 2.0])


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home, and a working folder that must stay empty."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "home"
    assert os.listdir(".") == []


def names(folder):
    """Files that are not Matplotlib's cache."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


@pytest.mark.parametrize("suffix", [".npy", ".h5", ".zarr"])
def test_matrices(home, suffix):
    print(fastntk.plan(X, out=f"~/a/K{suffix}"))
    fastntk.limit_gram(X, out=f"~/a/K{suffix}")
    assert names(home / "a") == [f"K{suffix}"]


def test_runs_and_what_is_made_of_them(home):
    run = fastntk.train(X, Y, width=8, steps=2, diagnostics=True)
    assert run.save("~/run.npz") == home / "run.npz"
    assert np.array_equal(fastntk.load("~/run.npz").loss, run.loss)
    assert run.to_csv("~/log.csv") == home / "log.csv"
    run.diagnostics.to_csv("~")
    sweep = fastntk.sweep(X, Y, widths=[4], steps=1, out="~/runs")
    assert sweep.plot("~/run.svg") == home / "run.svg"
    assert sweep.save("~/sweep.npz") == home / "sweep.npz"
    fastntk.datasets.save_csv("~/data.csv", X, Y)
    assert np.array_equal(fastntk.datasets.load_csv("~/data.csv")[0], X)
    assert names(home) == [
        "data.csv", "log.csv", "neurons.csv", "run.npz", "run.svg", "runs", "samples.csv", "steps.csv", "sweep.npz",
    ]  # fmt: skip
    assert names(home / "runs") == ["run-w4-s0.npz"]


def test_commands(home):
    """The shell leaves a ~ after an equals sign as it is."""
    for command in (
        "data sphere --n=9 --d=3 --out=~/data.csv",
        "train --data=~/data.csv --width=8 --steps=1 --out=~/run.npz --csv=~/log.csv --diagnostics=~/diagnostics",
        "gram --run=~/run.npz --out=~/H.npy",
        "limit --data=~/data.csv --out=~/L.csv",
        "sweep --data=~/data.csv --widths=4 --steps=1 --out=~/sweep",
    ):
        result = CliRunner().invoke(main, command.split(), prog_name="fastntk")
        assert result.exit_code == 0, result.output
    assert names(home) == [
        "H.npy", "L.csv", "data.csv", "diagnostics", "log.csv", "run.npz", "sweep",
    ]  # fmt: skip
