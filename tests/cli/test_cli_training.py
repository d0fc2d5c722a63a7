"""What `fastntk train` and `fastntk sweep` take beyond plain gradient descent on the first layer."""

import json

import numpy as np
import pytest

import fastntk
from fastntk.losses import Huber
from fastntk.optimizers import HeavyBall
from fastntk.training.settings import Settings
from tests.cli.calls import run

SETTINGS = {
    "--loss huber --optimizer nesterov --layers both --batch-size 5": {
        "loss": "huber", "optimizer": "nesterov", "layers": "both", "batch_size": 5,
    },
    "--loss huber --huber-delta 0.5 --optimizer heavy_ball --momentum 0.7": {
        "loss": Huber(0.5), "optimizer": HeavyBall(0.7),
    },
    "--depth 3 --scale 1.5 --layers 1,4 --metrics all": {
        "depth": 3, "scale": 1.5, "layers": (1, 4), "metrics": "all",
    },
    "--paired --kappa 0.25 --dtype float64": {"paired": True, "kappa": 0.25, "dtype": "float64"},
}  # fmt: skip


@pytest.mark.parametrize("options", SETTINGS)
def test_settings_reach_the_runs_of_both_commands_and_their_records(data, tmp_path, options):
    X, y = fastntk.datasets.load_csv(data)
    alone = fastntk.train(X, y, width=8, steps=4, **SETTINGS[options])
    plain = fastntk.train(X, y, width=8, steps=4)
    assert not np.array_equal(alone.loss, plain.loss)
    given = ("--data", data, "--steps", 4, *options.split())
    out = tmp_path / "out"
    for command in (
        ("train", "--width", 8, "--out", tmp_path / "r.npz"),
        ("sweep", "--widths", 8, "--out", out),
    ):
        result = run(*command, *given)
        assert result.exit_code == 0, result.output
    sweep = fastntk.load(out / "sweep.npz")
    trained = fastntk.load(tmp_path / "r.npz")
    for found in (trained, sweep.runs[0]):
        assert found.series.keys() == alone.series.keys()
        for name, values in alone.series.items():
            assert np.array_equal(found.series[name], values, equal_nan=True), name
    record = json.loads((out / "provenance.json").read_text())["settings"]
    for name in SETTINGS[options]:
        if name in alone.provenance:
            assert trained.provenance[name] == alone.provenance[name]
        assert record[name] == sweep.settings[name] == Settings(**SETTINGS[options]).record()[name]


@pytest.mark.parametrize("labels", ["sign", "eigenvector"])
def test_labels_of_a_data_set(labels, tmp_path):
    index = "--index -1" if labels == "eigenvector" else ""
    options = f"--n 9 --d 4 --seed 3 --labels {labels} {index}".split()
    result = run("data", "sphere", *options, "--out", tmp_path / "d.csv")
    assert result.exit_code == 0, result.output
    X, y = fastntk.datasets.load_csv(tmp_path / "d.csv")
    assert np.array_equal(X, fastntk.datasets.sphere(9, 4, seed=3)[0])
    if labels == "sign":
        assert set(y) == {-1.0, 1.0}
    else:
        H = fastntk.limit_gram(X)
        np.testing.assert_allclose(H @ y, np.linalg.eigvalsh(H)[-1] * y, atol=1e-12)


def test_an_index_without_eigenvectors(tmp_path):
    result = run("data", "sphere", "--labels", "sign", "--index", 1, "--out", tmp_path / "d.csv")
    assert result.exit_code == 2
    assert "--index is for --labels eigenvector, got --labels sign" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--loss hinge", "'squared', 'logistic', 'huber'"),
        ("--loss logistic", "y must hold the labels -1 and +1"),
        ("--optimizer adam", "'gd', 'heavy_ball', 'nesterov'"),
        ("--layers third", "neither one of hidden, output, all, first, second, both nor numbers such as 1,3"),
        ("--layers 1,3", "layers must be numbers from 1 to 2 at depth 1, the last for the output, got 3"),
        ("--depth 0", "0 is not in the range x>=1"),
        ("--depth 2 --engine dual", "engine must be 'auto' with depth=2 and scale=1, got 'dual'"),
        ("--batch-size 13", "batch_size must be at most the number of samples (12), got 13"),
        ("--batch-size 0", "0 is not in the range x>=1"),
        ("--momentum 0.5", "--momentum is for --optimizer heavy_ball or nesterov, got --optimizer gd"),
        ("--optimizer nesterov --momentum 1", "--momentum must be from 0 to below 1, got 1"),
        ("--optimizer nesterov --momentum nan", "--momentum must be from 0 to below 1, got nan"),
        ("--huber-delta 2", "--huber-delta is for --loss huber, got --loss squared"),
        ("--loss huber --huber-delta 0", "--huber-delta must be finite and above 0, got 0"),
        ("--kappa 0", "--kappa must be finite and above 0, got 0"),
    ],
)
def test_bad_options_are_named(data, tmp_path, options, message):
    for command in (("train", "--width", 4), ("sweep", "--widths", "4", "--out", tmp_path / "out")):
        result = run(*command, "--data", data, *options.split())
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.stderr.split())
        assert not list((tmp_path / "out").glob("*.npz"))


def test_pairs_of_an_odd_width_are_refused_before_any_run(data, tmp_path):
    result = run("sweep", "--data", data, "--widths", "4,5", "--paired", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "widths must be even with paired=True, got 5" in result.stderr
    assert not list((tmp_path / "out").rglob("*.npz"))


def test_figures_and_tables_of_several_layers(data, tmp_path):
    for command in (("sweep", "--figure"), ("reproduce",)):
        out = tmp_path / command[0]
        options = ["--widths", "8,16", "--depth", "2", "--steps", "2", "--lr", "0.05"]
        result = run(*command, "--data", data, *options, "--out", out)
        assert result.exit_code == 0, result.output
        header = (out / "results.csv").read_text().splitlines()[0]
        assert header.startswith("width,seed,step,loss,flips_1,flips_2,drift_1,drift_2")
        assert (out / "figure.png").stat().st_size > 1000


def test_a_prediction_is_of_one_hidden_layer(data, tmp_path):
    result = run("train", "--data", data, "--width", 8, "--depth", 2, "--prediction", tmp_path / "p.png")
    assert result.exit_code == 2
    assert "--prediction is for full gradient descent" in result.stderr
    assert "got --depth 2" in " ".join(result.stderr.split())
