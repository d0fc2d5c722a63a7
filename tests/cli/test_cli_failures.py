"""The command line: how it fails, in one line, and what is left behind."""

import csv
import signal
import subprocess
import sys
import time

import pytest

import fastntk
from fastntk.cli.errors import Interrupted
from tests.cli.calls import complaints, fails, ok, run, small

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
