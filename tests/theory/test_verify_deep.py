"""The statements about several hidden layers: judged from the runs, recorded, and absent at depth 1."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk import reference
from fastntk.cli import main

X, Y = fastntk.datasets.sphere(10, 10, seed=0)
COMMON = {"widths": [64], "seeds": [0, 1], "draws": 0, "steps": 10}
NAMES = ("kernel at the start", "kernel along training", "linear rate", "weights stay near")


@pytest.fixture(scope="module")
def result():
    return fastntk.verify(X, Y, depth=2, deep_widths=[8, 1024], **COMMON)


def test_statements_are_judged_by_the_limit_of_the_last_layer(result):
    limit = reference.deep_limits(X, 2, 2**0.5)[1]
    lowest = np.linalg.eigvalsh(limit)[0]
    assert abs(result.deep.lambda_0 - lowest) < 1e-12
    start, along = result[f"Depth 2: {NAMES[0]}"], result[f"Depth 2: {NAMES[1]}"]
    for statement, part in ((start, 0.75), (along, 0.5)):
        for row in statement.measured:
            run = fastntk.train(
                X, Y, width=row["width"], seed=row["seed"], depth=2, scale=2**0.5, steps=10, lr=result.deep.lr,
                metrics="lambda_min",
            )  # fmt: skip
            values = run.lambda_min[:, 1]
            found = values[0] if statement is start else values.min()
            assert row["lambda_min"] == found
            assert row["held"] == (found >= part * lowest)
            assert abs(row["bound"] - part * lowest) < 1e-12
    assert {row["held"] for row in start.measured} == {True, False}  # 8 neurons are too few, 1024 enough
    assert start.width_enough == 1024


def test_rate_and_drift(result):
    rate, drift = result[f"Depth 2: {NAMES[2]}"], result[f"Depth 2: {NAMES[3]}"]
    assert all(row["held"] == (row["slack"] >= 1) for row in rate.measured + drift.measured)
    assert len(drift.measured) == 2 * len(rate.measured)
    run = next(run for run in result.deep.runs if run.width == 1024 and run.seed == 1)
    row = next(row for row in drift.measured if (row["width"], row["seed"], row["layer"]) == (1024, 1, 2))
    assert row["change"] == pytest.approx(32 * run.series["drift_norm_2"].max())
    largest = np.linalg.eigvalsh(reference.deep_limits(X, 2, 2**0.5)[1])[-1]
    assert row["bound"] == pytest.approx(4 * np.sqrt(2 * largest) * run.error / result.deep.lambda_0)


def test_width_exponents_of_every_layer(result):
    fits = {fit.quantity: fit for fit in result.exponents}
    for name in ("flips", "drift", "drift_norm", "gram_change"):
        for layer in (1, 2):
            fit = fits[f"{name}_{layer}"]
            runs = [[run for run in result.deep.runs if run.width == width] for width in (8, 1024)]
            values = [[run.series[f"{name}_{layer}"][-1] for run in group] for group in runs]
            slopes = np.log(np.array(values[1]) / np.array(values[0])) / np.log(128)
            assert fit.slope == pytest.approx(slopes.mean())
            assert fit.lower < fit.slope < fit.upper


def test_report(result, tmp_path):
    result.save(tmp_path)
    record = json.loads((tmp_path / "report.json").read_text())
    assert record["settings"]["deep_widths"] == [8, 1024]
    assert len(record["runs"]["depth 2"]) == 4
    page = (tmp_path / "report.html").read_text()
    assert all(f"Depth 2: {name}" in page for name in NAMES)


def test_command_and_depth_one(tmp_path):
    data = tmp_path / "data.csv"
    fastntk.datasets.save_csv(data, X, Y)
    options = [
        "--widths",
        "64",
        "--seeds",
        "0",
        "--draws",
        "0",
        "--steps",
        "3",
        "--depth",
        "2",
        "--deep-widths",
        "16",
    ]
    done = CliRunner().invoke(main, ["verify", "--data", str(data), *options, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert all(f"Depth 2: {name}" in done.output for name in NAMES)
    flat = fastntk.verify(X, Y, **COMMON)
    assert flat.deep is None
    assert not [statement for statement in flat.statements if statement.name.startswith("Depth")]


def test_data_without_a_smallest_eigenvalue_are_measured_all_the_same():
    found = fastntk.verify(np.vstack((X, X[:1])), np.append(Y, 0.0), depth=2, deep_widths=[16], **COMMON)
    for name in NAMES:
        statement = found[f"Depth 2: {name}"]
        assert statement.verdict == "does not apply"
        assert "lambda_min(K^(H)) > 0 is not met" in statement.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"depth": 2, "deep_widths": [0]}, "deep_widths must be at least 1, got 0"),
        ({"depth": 2, "deep_widths": []}, "deep_widths must hold at least one integer, got none"),
    ],
)
def test_bad_arguments(change, words):
    with pytest.raises(ValueError, match=words):
        fastntk.verify(X, Y, **COMMON, **change)
