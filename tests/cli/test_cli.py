"""The command line from end to end: what it writes and prints."""

import csv
import json
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

import fastntk
from fastntk.cli import experiment
from fastntk.cli.options import compilation_shown
from fastntk.engines.choice import Course, choose
from tests.cli.calls import fails, ok, run, small


def test_reproduce_writes_figure_table_and_provenance(data, tmp_path):
    out = tmp_path / "new" / "out"
    printed = ok(*small(data, out))
    assert sorted(path.name for path in out.iterdir()) == [
        "figure.pdf",
        "figure.png",
        "provenance.json",
        "results.csv",
        "runs",
    ]
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "figure.pdf").read_bytes().startswith(b"%PDF")
    with open(out / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["width"], row["step"]) for row in rows] == [
        (w, str(k)) for w in ("8", "16") for k in range(6)
    ]
    X, y = fastntk.datasets.load_csv(data)
    alone = fastntk.train(X, y, width=16, steps=5, metrics="all")
    for name, series in alone.series.items():
        np.testing.assert_array_equal([float(row[name]) for row in rows[6:]], series)
    record = json.loads((out / "provenance.json").read_text())
    assert record["settings"]["widths"] == [8, 16]
    assert record["settings"]["lr"] == 0.1
    assert record["data"]["source"] == "data.csv"
    assert (record["data"]["n"], record["data"]["d"]) == (12, 6)
    assert [made["width"] for made in record["runs"]] == [8, 16]
    assert {"name", "reason"} <= set(record["runs"][0]["engine"])
    assert record["environment"]["threading_layer"]
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["8", "16"]
    for word in (
        "final loss",
        "final/first",
        "patterns changed",
        "max drift",
        "min lambda_min",
        "seconds",
        "engine",
    ):
        assert word in lines[0]
    assert f"lambda_0 = {record['limit']['lambda_0']:.6f}" in printed


def test_reproduce_draws_the_figure_of_scale_over_a_decade(data, tmp_path):
    out = tmp_path / "out"
    ok("reproduce", "--data", data, "--widths", "20,40,200", "--steps", 3, "--engine", "path", "--out", out)
    assert (out / "scaling.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "scaling.pdf").read_bytes().startswith(b"%PDF")
    record = json.loads((out / "provenance.json").read_text())
    assert {made["engine"]["name"] for made in record["runs"]} == {"path"}
    assert "first layer on all samples" in fails("sweep", "--data", data, "--widths", 8, "--engine", "path",
                                         "--batch-size", 2, "--out", tmp_path / "b")  # fmt: skip


def test_quick_puts_other_defaults_in_place_and_open_shows_the_figure(data, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    monkeypatch.setattr(experiment, "_QUICK", {"widths": [4, 8], "steps": 3})
    monkeypatch.chdir(tmp_path)
    printed = ok("reproduce", "--data", data, "--quick", "--open")
    assert "written to results/quick" in printed.replace(os.sep, "/")
    made = json.loads((tmp_path / "results/quick/provenance.json").read_text())["settings"]
    assert (made["widths"], made["steps"]) == ([4, 8], 3)
    assert opened == [(tmp_path / "results/quick/figure.png").resolve().as_uri()]
    ok(*small(data, tmp_path / "out", "--quick"))
    made = json.loads((tmp_path / "out/provenance.json").read_text())["settings"]
    assert (made["widths"], made["steps"]) == ([8, 16], 5)  # what is given stays
    assert len(opened) == 1
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    shown = run(*small(data, tmp_path / "out", "--open"))
    assert "no browser was found: open" in shown.stderr


def test_a_first_compilation_is_announced_on_a_terminal(capsys, monkeypatch):
    @numba.njit
    def new(x):
        return x + 1

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for progress, said in ((False, ""), (True, "compiling for this machine")):
        with compilation_shown(progress):
            new(1.0 if progress else 1)
        assert capsys.readouterr().err.startswith(said)
        with compilation_shown(progress):
            new(1)  # compiled before
        assert capsys.readouterr().err == ""


def test_reproduce_resumes_keeps_its_numbers_and_refuses_other_settings(data, tmp_path):
    out = tmp_path / "out"

    def written(pattern):
        return {path: path.stat().st_mtime_ns for path in out.rglob(pattern)}

    ok(*small(data, out))
    before, first = written("run-*"), (out / "results.csv").read_text()
    ok(*small(data, out, "--seeds", "0,1", "--every", 1))
    after = written("run-*")
    assert len(after) == 4
    assert before.items() <= after.items()
    assert first.splitlines()[1] in (out / "results.csv").read_text()
    whole = written("*.*")
    assert "lr=0.1, but this sweep has lr=0.2" in fails(*small(data, out, "--lr", 0.2))
    assert written("*.*") == whole


def test_reproduce_draws_the_published_data_by_default(tmp_path, monkeypatch):
    X, y = fastntk.datasets.sphere(6, 4)
    monkeypatch.setattr(fastntk.datasets, "slides", lambda: (X, y))
    ok("reproduce", "--widths", 8, "--steps", 1, "--metrics", "loss", "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert record["data"]["source"] == "slides(n=1000, d=1000, seed=1234)"
    assert record["settings"]["metrics"] == ["loss"]


def test_sweep_writes_a_file_that_load_reads(data, tmp_path):
    ok(
        "sweep", "--data", data, "--widths", "8,16", "--seeds", "0,1", "--steps", 3, "--every", 2,
        "--engine", "primal", "--dtype", "float64", "--threads", 1, "--figure", "--out", tmp_path / "s",
    )  # fmt: skip
    sweep = fastntk.load(tmp_path / "s" / "sweep.npz")
    assert (sweep.widths, sweep.seeds) == ([8, 16], [0, 1])
    assert sweep.runs[0].steps.tolist() == [0, 2, 3]
    assert sweep.runs[0].provenance["engine"]["name"] == "primal"
    assert sweep.runs[0].provenance["threads"] == 1
    assert {"figure.png", "figure.pdf", "results.csv", "provenance.json"} < set(os.listdir(tmp_path / "s"))


def test_train_then_gram_of_the_trained_network(data, tmp_path):
    ok("train", "--data", data, "--width", 16, "--steps", 4, "--metrics", "all",
       "--out", tmp_path / "run.npz", "--csv", tmp_path / "log.csv")  # fmt: skip
    trained = fastntk.load(tmp_path / "run.npz")
    assert trained.steps[-1] == 4
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 6
    printed = ok("gram", "--run", tmp_path / "run.npz", "--out", tmp_path / "H.npy")
    H = np.load(tmp_path / "H.npy", allow_pickle=False)
    np.testing.assert_array_equal(H, trained.gram())
    assert float(printed.split("lambda_min(H) = ")[1].split()[0]) == pytest.approx(
        trained.lambda_min[-1], rel=1e-6
    )


@pytest.mark.parametrize(("name", "seed"), [("slides", 1234), ("sphere", 0)])
def test_data_can_be_read_back(tmp_path, name, seed):
    ok("data", name, "--n", 7, "--d", 3, "--out", tmp_path / "d.csv")
    X, y = fastntk.datasets.load_csv(tmp_path / "d.csv")
    expected = getattr(fastntk.datasets, name)(7, 3, seed)
    np.testing.assert_array_equal(X, expected[0])
    np.testing.assert_array_equal(y, expected[1])


def test_info_names_the_machine_and_the_engine():
    printed = ok("info", "--n", 4000, "--d", 500, "--width", 64)
    chosen = choose(4000, 500, 64, course=Course(100))
    assert f"{chosen.name}: {chosen.reason}" in printed
    for word in ("fastntk", "numba", "processor", "compiled for", "threading layer", "memory", "blas"):
        assert word in printed


@pytest.mark.parametrize(
    "command", [[], ["reproduce"], ["train"], ["sweep"], ["gram"], ["limit"], ["data"], ["info"]]
)
def test_help(command):
    printed = ok(*command, "--help")
    assert printed.startswith("Usage: fastntk")


def test_version_and_module_call():
    assert ok("--version").strip() == f"fastntk {fastntk.__version__}"
    done = subprocess.run(
        [sys.executable, "-m", "fastntk", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"fastntk {fastntk.__version__}"


def test_bench_without_a_checkout_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(fastntk, "__file__", str(tmp_path / "site-packages" / "fastntk" / "__init__.py"))
    assert "source checkout" in fails("bench")


def test_bench_runs_the_report_of_a_checkout(tmp_path, monkeypatch):
    (tmp_path / "fastntk").mkdir()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "report.py").write_text("import sys\nsys.exit(int(sys.argv[-1]))\n")
    monkeypatch.setattr(fastntk, "__file__", str(tmp_path / "fastntk" / "__init__.py"))
    assert run("bench", "--quick", "5").exit_code == 5
    assert run("bench", "0").exit_code == 0
