"""The command line from end to end: what it writes and prints, and how it fails."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numba
import numpy as np
import pytest

import fastntk
from fastntk.cli import experiment
from fastntk.cli.errors import Interrupted
from fastntk.cli.options import compilation_shown
from tests.cli.calls import complaints, ok, run


def fails(*arguments, status=2):
    """The one line on stderr of a command that must fail."""
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    lines = complaints(result.stderr).splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    return lines[0]


def small(data, out, *more):
    return ("reproduce", "--data", data, "--widths", "8,16", "--steps", 5, "--out", out, *more)


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
    assert "full-batch descent" in fails("sweep", "--data", data, "--widths", 8, "--engine", "path",
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


def test_reproduce_resumes_and_keeps_its_numbers(data, tmp_path):
    ok(*small(data, tmp_path / "out"))
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").iterdir()}
    first = (tmp_path / "out" / "results.csv").read_text()
    ok(*small(data, tmp_path / "out", "--seeds", "0,1", "--every", 1))
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").iterdir()}
    assert len(after) == 4
    assert {name: after[name] for name in before} == before
    assert first.splitlines()[1] in (tmp_path / "out" / "results.csv").read_text()


def test_reproduce_refuses_a_folder_of_other_settings(data, tmp_path):
    ok(*small(data, tmp_path / "out"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    assert "lr=0.1, but this sweep has lr=0.2" in fails(*small(data, tmp_path / "out", "--lr", 0.2))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")} == before


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


def test_gram_at_the_start(data, tmp_path):
    X, _ = fastntk.datasets.load_csv(data)
    expected = fastntk.gram(X, W=fastntk.TwoLayerReLU.init(6, 32, seed=5).W)
    ok("gram", "--data", data, "--width", 32, "--seed", 5, "--out", tmp_path / "H.csv")
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "H.csv", delimiter=","), expected)
    assert "lambda_min(H)" in ok("gram", "--data", data, "--width", 32)


def test_limit(data, tmp_path):
    X, _ = fastntk.datasets.load_csv(data)
    printed = ok("limit", "--data", data, "--out", tmp_path / "H.npy")
    expected = fastntk.limit_gram(X)
    np.testing.assert_array_equal(np.load(tmp_path / "H.npy"), expected)
    assert f"{np.linalg.eigvalsh(expected)[0]:.6f}"[:7] in printed
    ok("limit", "--data", data, "--layers", "both", "--out", tmp_path / "B.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "B.npy"), fastntk.limit_gram(X, layers="both"))


@pytest.mark.parametrize(("name", "seed"), [("slides", 1234), ("sphere", 0)])
def test_data_can_be_read_back(tmp_path, name, seed):
    ok("data", name, "--n", 7, "--d", 3, "--out", tmp_path / "d.csv")
    X, y = fastntk.datasets.load_csv(tmp_path / "d.csv")
    expected = getattr(fastntk.datasets, name)(7, 3, seed)
    np.testing.assert_array_equal(X, expected[0])
    np.testing.assert_array_equal(y, expected[1])


def test_info_names_the_machine_and_the_engine():
    printed = ok("info", "--n", 4000, "--d", 500, "--width", 64)
    chosen = fastntk.engines.choose(4000, 500, 64, course=fastntk.engines.Course(100))
    assert f"{chosen.name}: {chosen.reason}" in printed
    for word in ("fastntk", "numba", "processor", "compiled for", "threading layer", "memory", "blas"):
        assert word in printed


@pytest.mark.parametrize(
    "command", [[], ["reproduce"], ["train"], ["sweep"], ["gram"], ["limit"], ["data"], ["info"]]
)
def test_help(command):
    printed = ok(*command, "--help")
    assert printed.startswith("Usage: fastntk")


def test_help_is_quick_because_it_loads_no_library():
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from fastntk.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "heavy = {'numba', 'scipy', 'matplotlib', 'llvmlite'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


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


BAD_FILES = {
    "ragged.csv": ("a,b,y\n1,2,3\n4,5\n", "line 3"),
    "words.csv": ("a,b,y\n1,2,three\n", "three"),
    "nan.csv": ("a,b,y\n1,2,3\n1,nan,3\n", "line 3"),
    "empty.csv": ("", "empty"),
    "header.csv": ("a,b,y\n", "header"),
    "narrow.csv": ("y\n1\n", "columns"),
    "binary.csv": (b"\xff\xfe\x00", "UTF-8"),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("command", [["reproduce"], ["sweep", "--widths", "4"], ["train", "--width", "4"]])
def test_bad_data_files(tmp_path, name, command):
    content, message = BAD_FILES[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    line = fails(*command, "--data", tmp_path / name, "--out", tmp_path / "out")
    assert name in line
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["reproduce"], ["gram"], ["limit"], ["train"]])
def test_a_missing_data_file(tmp_path, command):
    line = fails(*command, "--data", tmp_path / "absent.csv", "--out", tmp_path / "out.npy")
    assert "absent.csv" in line
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--widths", "0"), "--widths"),
        (("--widths", "8,-3"), "-3"),
        (("--widths", "8,many"), "many"),
        (("--widths", ""), "--widths"),
        (("--seeds", "-1"), "--seeds"),
        (("--steps", "-1"), "--steps"),
        (("--every", "0"), "--every"),
        (("--lr", "nan"), "--lr"),
        (("--lr", "-1"), "--lr"),
        (("--metrics", "speed"), "speed"),
        (("--metrics", "loss,"), "--metrics"),
        (("--threads", "100000"), "--threads"),
        (("--threads", "0"), "--threads"),
        (("--unknown", "0"), "--unknown"),
    ],
)
def test_bad_options(data, tmp_path, option, message):
    assert message in fails(*small(data, tmp_path / "out", *option))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["reproduce", "--out", "{below}"],
        ["sweep", "--widths", "4", "--out", "{below}"],
        ["train", "--width", "4", "--out", "{below}"],
        ["train", "--width", "4", "--csv", "{below}"],
        ["gram", "--width", "4", "--out", "{below}.npy"],
        ["limit", "--out", "{below}.csv"],
    ],
)
def test_an_output_that_cannot_be_written_is_found_out_before_the_work(data, tmp_path, monkeypatch, command):
    (tmp_path / "file").touch()
    monkeypatch.setattr(fastntk.training.train, "run", lambda *a: pytest.fail("something was trained"))
    filled = [part.format(below=tmp_path / "file" / "below") for part in command]
    line = fails(*filled, "--data", data)
    assert "cannot be written" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "file"]


def test_data_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written" in fails("data", "sphere", "--out", tmp_path / "file" / "d.csv")


def test_other_mistakes(data, tmp_path):
    assert ".npy or .csv" in fails("gram", "--data", data, "--out", tmp_path / "H.txt")
    assert "is a folder" in fails("train", "--data", data, "--out", tmp_path)
    assert "not a readable" in fails("gram", "--run", data)
    ok(*small(data, tmp_path / "out", "--metrics", "loss"))
    fastntk.load(tmp_path / "out" / "runs" / "run-w8-s0.npz")
    assert "keeps no network" in fails("gram", "--run", tmp_path / "out" / "runs" / "run-w8-s0.npz")
    assert "exclude each other" in fails("gram", "--run", "x.npz", "--width", 8)
    assert "No such command" in fails("dance")
    result = run()
    assert result.exit_code == 2
    assert "Usage: fastntk" in result.output


def test_too_little_memory_is_one_line(data, tmp_path):
    line = fails("train", "--data", data, "--width", 10**13, "--out", tmp_path / "run.npz")
    assert "GiB" in line
    assert not (tmp_path / "run.npz").exists()


def test_divergence_names_the_largest_stable_step_and_keeps_the_log(data, tmp_path):
    line = fails(*small(data, tmp_path / "out", "--lr", 1000, "--steps", 50), status=3)
    assert "largest stable step" in line
    with open(tmp_path / "out" / "diverged.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["width"] == "8"
    assert 1 < len(rows) < 50
    line = fails("train", "--data", data, "--width", 8, "--lr", 1000, "--csv", tmp_path / "log.csv", status=3)
    assert (tmp_path / "log.csv").exists()


def test_no_traceback_for_an_interrupt(data, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(fastntk.training.train, "run", interrupted)
    result = run("train", "--data", data, "--width", 4)
    assert (result.exit_code, complaints(result.stderr)) == (130, "interrupted, nothing was written\n")
    result = run(*small(data, tmp_path / "out"))
    assert result.exit_code == Interrupted.exit_code
    assert "0 of 2 runs are kept" in result.stderr
    assert len(complaints(result.stderr).splitlines()) == 1


def test_ctrl_c_keeps_what_was_finished_and_the_same_command_goes_on(data, tmp_path):
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "fastntk", "reproduce", "--data", str(data), "--widths", "8,200000",
        "--steps", "3000", "--metrics", "loss", "--out", str(out),
    ]  # fmt: skip
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "runs" / "run-w8-s0.npz").exists() and time.monotonic() < deadline:
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=120)
    assert child.returncode == 130, stderr
    assert stdout == ""
    assert complaints(stderr).splitlines() == [
        f"interrupted: 1 of 2 runs are kept in {out / 'runs'}; the same command goes on from there"
    ]
    assert [path.name for path in out.iterdir()] == ["runs"]
    assert [path.name for path in (out / "runs").iterdir()] == ["run-w8-s0.npz"]
