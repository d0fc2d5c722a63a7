"""Gradient flow around the integration: arguments, files, sweeps, figures, the command line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk import TwoLayerReLU
from fastntk.cli import main
from fastntk.engines import step_sizes
from fastntk.plots import runs as plotting


def test_it_is_saved_drawn_and_written(problem, tmp_path):
    p = problem(5, 4, 9)
    net = TwoLayerReLU(p.W, p.a)
    run = fastntk.train(p.X, p.y, net=net, dynamics="flow", t_final=2.0, times=[0.5], metrics="all")
    again = fastntk.load(run.save(tmp_path / "run.npz"))
    assert np.array_equal(again.times, run.times)
    assert again.provenance == run.provenance
    assert [row["time"] for row in run.rows()] == [0.0, 0.5, 2.0]
    header, *lines = run.to_csv(tmp_path / "run.csv").read_text().splitlines()
    assert header.startswith("width,seed,step,time,loss,")
    assert len(lines) == 3
    with pytest.raises(ValueError, match=r"times: got shape \(2,\), expected one entry per logged step"):
        fastntk.Run(steps=[0, 1, 2], times=[0.0, 1.0])


def test_sweep_resumes_and_is_drawn_against_time(tmp_path):
    X, y = fastntk.datasets.sphere(6, 5, seed=0)
    settings = {"widths": [8, 16], "dynamics": "flow", "t_final": 2.0, "metrics": "all", "out": tmp_path}
    seen = []
    sweep = fastntk.sweep(X, y, **settings, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == ((8 + 16) * 100,) * 2
    for run in sweep.runs:
        alone = fastntk.train(X, y, width=run.width, dynamics="flow", t_final=2.0)
        assert np.array_equal(run.loss, alone.loss)
        assert np.array_equal(run.times, np.linspace(0.0, 2.0, 101))
    again = fastntk.load(sweep.save(tmp_path / "sweep.npz"))
    assert again.table() == sweep.table()
    assert again.settings == sweep.settings
    resumed = fastntk.sweep(X, y, **settings | {"widths": [16]})
    assert resumed.runs[0].provenance == sweep.runs[1].provenance
    figure = plotting.draw_runs(sweep.runs, sweep.limit)
    assert {axes.get_xlabel() for axes in figure.axes} == {"time $t$ of gradient flow"}
    loss = figure.axes[0]
    assert loss.get_ylabel() == "training loss $L(t)$"
    assert np.array_equal(loss.lines[0].get_xdata(), sweep.runs[0].times)
    bound = max(run.loss[0] for run in sweep.runs) * np.exp(-sweep.limit["lambda_0"] * sweep.runs[0].times)
    np.testing.assert_allclose(loss.lines[2].get_ydata(), bound)


def test_command_line(tmp_path):
    path = tmp_path / "data.csv"
    fastntk.datasets.save_csv(path, *fastntk.datasets.sphere(6, 5, seed=0))
    options = ["--data", path, "--dynamics", "flow", "--t-final", 2, "--tolerance", 1e-4]

    def call(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fastntk")

    done = call("train", *options, "--width", 8, "--csv", tmp_path / "run.csv", "--out", tmp_path / "run.npz")
    assert done.exit_code == 0, done.output
    run = fastntk.load(tmp_path / "run.npz")
    assert (run.times[-1], run.provenance["tolerance"]) == (2.0, 1e-4)
    assert len((tmp_path / "run.csv").read_text().splitlines()) == 102
    done = call("sweep", *options, "--widths", "8,16", "--out", tmp_path / "out", "--figure")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["settings"]["t_final"] == 2.0
    done = call("train", *options, "--lr", 0.2)
    assert done.exit_code == 2
    assert "lr is for dynamics='descent', got 0.2 with dynamics='flow'" in done.output


def test_command_line_keeps_what_a_lost_flow_logged(tmp_path, monkeypatch):
    monkeypatch.setattr(step_sizes, "MOST_STEPS", 3)
    path = tmp_path / "data.csv"
    fastntk.datasets.save_csv(path, *fastntk.datasets.sphere(6, 5, seed=0))
    arguments = ["train", "--data", path, "--dynamics", "flow", "--t-final", 1, "--csv", tmp_path / "log.csv"]
    done = CliRunner().invoke(main, list(map(str, arguments)), prog_name="fastntk")
    assert done.exit_code == 3
    assert "tolerance=0.001 was not reached (log so far:" in done.output
    assert len((tmp_path / "log.csv").read_text().splitlines()) > 1
