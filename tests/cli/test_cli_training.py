"""What `fastntk train` and `fastntk sweep` take beyond plain gradient descent on the first layer."""

import json

import numpy as np
import pytest

import fastntk
from tests.cli.calls import run

OPTIONS = [
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
]
SETTINGS = {"loss": "huber", "optimizer": "nesterov", "layers": "both", "batch_size": 5, "steps": 4}


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


METHODS = ("--loss", "huber", "--huber-delta", 0.5, "--optimizer", "heavy_ball", "--momentum", 0.7)


def test_momentum_and_the_threshold_of_huber_reach_the_run(data, tmp_path):
    X, y = fastntk.datasets.load_csv(data)
    methods = {"loss": fastntk.losses.Huber(0.5), "optimizer": fastntk.optimizers.HeavyBall(0.7)}
    alone = fastntk.train(X, y, width=8, steps=4, **methods)
    assert not np.array_equal(
        alone.loss, fastntk.train(X, y, width=8, steps=4, loss="huber", optimizer="heavy_ball").loss
    )
    assert (
        run(
            "train", "--data", data, "--width", 8, "--steps", 4, *METHODS, "--out", tmp_path / "r.npz"
        ).exit_code
        == 0
    )
    assert np.array_equal(fastntk.load(tmp_path / "r.npz").loss, alone.loss)
    out = tmp_path / "out"
    assert run("sweep", "--data", data, "--widths", 8, "--steps", 4, *METHODS, "--out", out).exit_code == 0
    found = fastntk.load(out / "sweep.npz")
    assert np.array_equal(found.runs[0].loss, alone.loss)
    assert found.settings["loss"] == {"name": "huber", "delta": 0.5}
    assert found.settings["optimizer"] == {"name": "heavy_ball", "momentum": 0.7}


def test_pairs_start_at_zero_and_kappa_scales_the_start(data, tmp_path):
    X, y = fastntk.datasets.load_csv(data)
    assert run("train", "--data", data, "--width", 8, "--paired", "--out", tmp_path / "a.npz").exit_code == 0
    assert fastntk.load(tmp_path / "a.npz").loss[0] == 0.5 * (y @ y)
    result = run(
        "train", "--data", data, "--width", 8, "--kappa", 0.25, "--steps", 0, "--out", tmp_path / "b.npz"
    )
    assert result.exit_code == 0
    assert np.array_equal(fastntk.load(tmp_path / "b.npz").net.W, 0.25 * fastntk.TwoLayerReLU.init(6, 8).W)


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


def test_several_layers(data, tmp_path):
    options = ("--depth", 3, "--scale", "1.5", "--layers", "1,4", "--steps", 3, "--metrics", "all")
    result = run("train", "--data", data, "--width", 8, *options, "--out", tmp_path / "run.npz")
    assert result.exit_code == 0, result.output
    found = fastntk.load(tmp_path / "run.npz")
    settings = {"depth": 3, "scale": 1.5, "layers": (1, 4), "steps": 3, "metrics": "all"}
    alone = fastntk.train(*fastntk.datasets.load_csv(data), width=8, **settings)
    for name, values in alone.series.items():
        assert np.array_equal(getattr(found, name), values, equal_nan=True)
    assert found.provenance["layers"] == [1, 4]
    assert found.depth == 3
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
