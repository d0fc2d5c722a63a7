"""Sweeps: the runs of `train`, kept as they finish, resumed after a kill, never mixed with other data."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import fastntk
from fastntk.base.progress import SweepBar
from fastntk.base.storage import atomic_write
from fastntk.losses import Huber
from fastntk.optimizers import Nesterov
from fastntk.training import train as training
from fastntk.training.resume import run_file
from fastntk.training.settings import Settings

X, Y = fastntk.datasets.sphere(12, 6, seed=3)


def small(**changes):
    return fastntk.sweep(**({"X": X, "y": Y, "widths": [16, 8], "seeds": [1, 0], "steps": 4} | changes))


def test_every_pair_is_the_run_that_train_gives():
    sweep = small(metrics="all", progress=True)
    assert [(run.width, run.seed) for run in sweep.runs] == [(8, 0), (8, 1), (16, 0), (16, 1)]
    assert (sweep.widths, sweep.seeds) == ([8, 16], [0, 1])
    for run in sweep.runs:
        alone = fastntk.train(X, Y, width=run.width, seed=run.seed, steps=4, metrics="all")
        assert list(run.series) == list(alone.series)
        for name in run.series:
            np.testing.assert_array_equal(run.series[name], alone.series[name])
        assert run.net is run.X is run.y is None


def test_the_limit_is_that_of_the_data():
    limit = small(metrics="all").limit
    eigenvalues = np.linalg.eigvalsh(fastntk.limit_gram(X))
    assert limit["lambda_0"] == pytest.approx(eigenvalues[0], rel=1e-9)
    assert limit["lambda_max"] == pytest.approx(eigenvalues[-1], rel=1e-9)
    assert limit["unit_rows"] is True
    assert small(X=2 * X, metrics="all", lr=0.01).limit["unit_rows"] is False
    assert small().limit == {}


def test_table_and_summary():
    sweep = small(every=3)
    table = sweep.table()
    assert [row["step"] for row in table[:3]] == [0, 3, 4]
    assert len(table) == 4 * 3
    assert [row["width"] for row in sweep.summary()] == [8, 8, 16, 16]
    first = sweep.summary()[0]
    assert first["loss_ratio"] == first["final_loss"] / sweep.runs[0].loss[0]
    assert first["engine"] in ("dual", "primal")
    assert first["seconds"] > 0
    assert "lambda_min" not in first


def test_csv_has_one_line_per_row(tmp_path):
    sweep = small()
    lines = sweep.to_csv(tmp_path / "t.csv").read_text().splitlines()
    assert lines[0].startswith("width,seed,step,loss,flips,drift")
    assert len(lines) == 1 + len(sweep.table())


def test_progress_counts_neuron_updates():
    seen = []
    small(progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (2 * (8 + 16) * 4,) * 2


def test_finished_runs_are_loaded_and_only_new_ones_trained(tmp_path, monkeypatch):
    first = small(out=tmp_path)
    trained = []
    real = training.run
    monkeypatch.setattr(training, "run", lambda p, *a: trained.append(p.start.width) or real(p, *a))
    again = small(out=tmp_path, widths=[8, 16, 24], seeds=[0, 1])
    assert trained == [24, 24]
    for mine, theirs in zip(first.runs, again.runs[:4], strict=True):
        assert mine.provenance == theirs.provenance
        np.testing.assert_array_equal(mine.loss, theirs.loss)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        run_file(width, seed) for width in (8, 16, 24) for seed in (0, 1)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": -Y}, "data="),
        ({"X": X[:, ::-1]}, "data="),
    ],
)
def test_runs_of_other_data_are_refused_before_any_work(tmp_path, monkeypatch, changes, message):
    small(out=tmp_path, widths=[16])
    monkeypatch.setattr(training, "run", lambda *a: pytest.fail("something was trained"))
    with pytest.raises(ValueError, match=message) as caught:
        small(out=tmp_path, **changes)
    assert run_file(16, 0) in str(caught.value)


FLOW = {"dynamics": "flow", "t_final": 2.0, "steps": Settings.steps}


@pytest.mark.parametrize(
    ("given", "other", "words"),
    [
        ({"lr": 0.2}, {}, r"lr=0\.2, but this sweep has lr=0\.1"),
        ({"steps": 5}, {}, "steps=5, but this sweep has steps=4"),
        ({"metrics": "loss"}, {"metrics": "all"}, "metrics="),
        ({"every": 2}, {}, "every="),
        ({"engine": "primal"}, {}, "engine="),
        ({"dtype": "float64"}, {}, "dtype="),
        ({"layers": "both"}, {"layers": "second"}, "layers='both', but this sweep has layers='second'"),
        ({"batch_size": 3}, {"batch_size": 4}, "batch_size=3, but this sweep has batch_size=4"),
        (
            {"loss": Huber(0.5)},
            {"loss": "huber"},
            r"loss=\{'name': 'huber', 'delta': 0.5\}, but this sweep has loss=",
        ),
        (
            {"optimizer": Nesterov(0.5)},
            {"optimizer": "nesterov"},
            r"optimizer=\{'name': 'nesterov', 'momentum': 0.5\}, but this sweep has",
        ),
        (
            {"depth": 2, "metrics": "all"},
            {"depth": 3, "metrics": "all"},
            "depth=2, but this sweep has depth=3",
        ),
        (FLOW, {"steps": Settings.steps}, r"dynamics='flow', .*but this sweep has dynamics='descent'"),
        ({"steps": Settings.steps}, FLOW, r"dynamics='descent', .*but this sweep has dynamics='flow'"),
        (FLOW, FLOW | {"t_final": 3.0}, "holds a run with"),
        (FLOW, FLOW | {"tolerance": 0.1}, "holds a run with"),
        (FLOW, FLOW | {"times": [1.0]}, "holds a run with"),
    ],
)
def test_settings_reach_the_runs_and_are_never_mixed(tmp_path, monkeypatch, given, other, words):
    """A folder gives its runs back to a sweep of the same settings alone; another one is refused before any work."""
    made = small(out=tmp_path, widths=[16], **given).runs[-1]
    alone = fastntk.train(X, Y, width=16, seed=1, **{"steps": 4, **given})
    for name, values in alone.series.items():
        np.testing.assert_array_equal(made.series[name], values)
    monkeypatch.setattr(training, "run", lambda *a: pytest.fail("something was trained"))
    again = small(out=tmp_path, widths=[16], **given).runs[-1]
    assert again.provenance == made.provenance
    with pytest.raises(ValueError, match=words) as caught:
        small(out=tmp_path, **other)
    assert run_file(16, 0) in str(caught.value)


def test_a_folder_of_another_minor_version_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("fastntk.__version__", "3.4.0")
    made = small(out=tmp_path, widths=[8])
    monkeypatch.setattr("fastntk.__version__", "3.4.9")  # a patch changes no numbers
    assert small(out=tmp_path, widths=[8]).runs[0].provenance == made.runs[0].provenance
    monkeypatch.setattr("fastntk.__version__", "3.5.0")
    monkeypatch.setattr(training, "train", lambda *a, **k: pytest.fail("something was trained"))
    with pytest.raises(
        ValueError, match=r"run-w8-s0\.npz' was made by fastntk 3\.4\.0, this is fastntk 3\.5\.0"
    ):
        small(out=tmp_path, widths=[4, 8])


def test_a_folder_from_before_a_setting_is_resumed_where_it_has_its_default(tmp_path):
    made = small(out=tmp_path, widths=[8], seeds=[0])
    path = tmp_path / "run-w8-s0.npz"
    run = fastntk.load(path)
    assert run.provenance["sweep"] == made.settings | {"width": 8, "seed": 0}
    del run.provenance["sweep"]["kappa"]
    run.save(path)
    assert small(out=tmp_path, widths=[8], seeds=[0]).runs[0].provenance == run.provenance
    with pytest.raises(ValueError, match=r"holds a run with kappa=1\.0, but this sweep has kappa=0\.5"):
        small(out=tmp_path, widths=[8], seeds=[0], kappa=0.5)
    run.provenance["sweep"]["later"] = 2  # a setting of a version to come
    run.save(path)
    with pytest.raises(ValueError, match="holds a run with later=2, but this sweep has later=None"):
        small(out=tmp_path, widths=[8], seeds=[0])


def test_a_run_that_names_no_version_is_refused(tmp_path):
    run = small(out=tmp_path, widths=[8]).runs[0]
    del run.provenance["environment"]["fastntk"]
    run.save(tmp_path / run_file(8, 0))
    with pytest.raises(ValueError, match="was made by fastntk of an unknown version"):
        small(out=tmp_path, widths=[8])


def test_a_run_of_train_in_the_folder_is_refused(tmp_path):
    fastntk.train(X, Y, width=8, steps=4).save(tmp_path / run_file(8, 0))
    with pytest.raises(ValueError, match="holds a run with data=None"):
        small(out=tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / run_file(8, 0)).write_bytes(b"half")
    with pytest.raises(ValueError, match=r"run-w8-s0\.npz"):
        small(out=tmp_path)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"widths": [8, 0]}, ValueError, "widths must be at least 1, got 0"),
        ({"widths": []}, ValueError, "widths"),
        ({"widths": 8}, TypeError, "widths"),
        ({"widths": [8.5]}, TypeError, "widths"),
        ({"widths": "8"}, TypeError, "widths"),
        ({"seeds": [-1]}, ValueError, "seeds"),
        ({"X": np.full((3, 2), np.nan), "y": np.zeros(3)}, ValueError, "X must be finite"),
        ({"y": Y[:-1]}, ValueError, "y must have"),
    ],
)
def test_bad_arguments_leave_no_folder_behind(tmp_path, changes, kind, message):
    with pytest.raises(kind, match=message):
        small(out=tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_found_out_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(training, "run", lambda *a: pytest.fail("something was trained"))
    with pytest.raises(OSError, match="out: the folder"):
        small(out=tmp_path / "file" / "out")


def test_divergence_keeps_the_runs_before_it(tmp_path, monkeypatch):
    real = training.run

    def too_far(problem, *arguments):
        lr = 1e6 if problem.start.width == 16 else problem.settings.lr
        return real(replace(problem, settings=replace(problem.settings, lr=lr)), *arguments)

    monkeypatch.setattr(training, "run", too_far)
    with pytest.raises(fastntk.DivergenceError) as caught:
        small(out=tmp_path, seeds=[0], steps=40)
    assert caught.value.largest_stable_step < 1e6
    assert [path.name for path in tmp_path.iterdir()] == [run_file(8, 0)]


SCRIPT = """
import sys, time, fastntk
X, y = fastntk.datasets.sphere(12, 6, seed=3)
def slowly(done, total):
    if done > 3 * 8 * 30:
        time.sleep(0.05)
fastntk.sweep(X, y, widths=[8], seeds=range(8), steps=30, out=sys.argv[1], progress=slowly)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_sweep_resumes_with_the_same_numbers(tmp_path, how):
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=os.getcwd(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("run-*.npz"))) < 4 and time.monotonic() < deadline:
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)
    child.send_signal(how)
    child.communicate(timeout=60)
    assert child.returncode != 0
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("run-*.npz")}
    assert 4 <= len(kept) < 8
    resumed = fastntk.sweep(X, Y, widths=[8], seeds=range(8), steps=30, out=tmp_path)
    names = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sorted(names) == sorted(run_file(8, seed) for seed in range(8))
    assert {name: names[name] for name in kept} == kept
    whole = fastntk.sweep(X, Y, widths=[8], seeds=range(8), steps=30)
    for mine, theirs in zip(resumed.runs, whole.runs, strict=True):
        np.testing.assert_array_equal(mine.loss, theirs.loss)


def test_a_half_written_file_of_a_killed_process_is_cleared_away(tmp_path):
    script = (
        "import os, signal, sys\n"
        "from fastntk.base.storage import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / run_file(8, 0))], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    small(widths=[8], seeds=[0], out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [run_file(8, 0)]
    with atomic_write(tmp_path / "alive"):
        small(widths=[8], seeds=[0], out=tmp_path)


@pytest.mark.parametrize(("terminal", "pause"), [(True, 0.06), (True, 0.0), (False, 0.06)])
def test_the_bar_shows_time_left_on_a_terminal_and_only_for_what_takes_over_a_second(
    monkeypatch, terminal, pause
):
    stderr = io.StringIO()
    stderr.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stderr)
    with SweepBar([(8, 0), (32, 0)], 20, True) as bar:
        for width in (8, 32):
            bar.start(width, 0)
            for step in range(20):
                time.sleep(pause)
                bar.step(step + 1, 20)
            bar.finish(width)
    if terminal and pause:
        assert "width 32, seed 0 (run 2 of 2)" in stderr.getvalue()
        assert re.search(r"\d\d:\d\d left", stderr.getvalue())
    else:
        assert stderr.getvalue().strip() == ""
