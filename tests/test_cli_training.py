"""What `fastntk train` and `fastntk sweep` take beyond plain gradient descent on the first layer."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk.cli import main

OPTIONS = (
    "--loss",
    "huber",
    "--optimizer",
    "nesterov",
    "--layers",
    "both",
    "--batch-size",
    "5",
    "--steps",
    "4",
)
SETTINGS = {"loss": "huber", "optimizer": "nesterov", "layers": "both", "batch_size": 5, "steps": 4}


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.csv"
    fastntk.datasets.save_csv(path, *fastntk.datasets.sphere(12, 6, seed=3))
    return path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fastntk")


def test_train_passes_them_on(data, tmp_path):
    result = run("train", "--data", data, "--width", 8, *OPTIONS, "--out", tmp_path / "run.npz")
    assert result.exit_code == 0, result.output
    found = fastntk.load(tmp_path / "run.npz")
    alone = fastntk.train(*fastntk.datasets.load_csv(data), width=8, **SETTINGS)
    assert np.array_equal(found.loss, alone.loss)
    assert np.array_equal(found.drift_a, alone.drift_a)
    for name in SETTINGS:
        assert found.provenance[name] == alone.provenance[name]


def test_sweep_passes_them_on_and_records_them(data, tmp_path):
    result = run("sweep", "--data", data, "--widths", "8", *OPTIONS, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = fastntk.load(tmp_path / "out" / "sweep.npz")
    alone = fastntk.train(*fastntk.datasets.load_csv(data), width=8, **SETTINGS)
    assert np.array_equal(found.runs[0].loss, alone.loss)
    assert (
        (tmp_path / "out" / "results.csv").read_text().startswith("width,seed,step,loss,flips,drift,drift_a")
    )
    record = json.dumps(json.loads((tmp_path / "out" / "provenance.json").read_text()))
    for part in ('"name": "huber"', '"name": "nesterov"', '"layers": "both"', '"batch_size": 5'):
        assert part in record


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--loss", "hinge", "'squared', 'logistic', 'huber'"),
        ("--loss", "logistic", "y must hold the labels -1 and +1"),
        ("--optimizer", "adam", "'gd', 'heavy_ball', 'nesterov'"),
        ("--layers", "third", "'first', 'second', 'both'"),
        ("--batch-size", "13", "batch_size must be at most the number of samples (12), got 13"),
        ("--batch-size", "0", "0 is not in the range x>=1"),
    ],
)
def test_bad_options_are_named(data, tmp_path, option, value, message):
    for command in (("train", "--width", 4), ("sweep", "--widths", "4", "--out", tmp_path / "out")):
        result = run(*command, "--data", data, option, value)
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.stderr.split())
