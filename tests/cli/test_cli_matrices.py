"""`fastntk gram` and `fastntk limit`: files of every format, plans, pictures, and what happens when they end early."""

import os
import re
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import zarr

import fastntk
from fastntk.cli import matrix_output
from tests.cli.calls import complaints, fails, ok


@pytest.fixture
def points(tmp_path):
    X, _ = fastntk.datasets.sphere(12, 6, seed=3)
    np.save(tmp_path / "X.npy", X)
    return X


def read(path):
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".csv":
        return np.loadtxt(path, delimiter=",")
    if path.suffix == ".zarr":
        return zarr.open_array(path, mode="r")[:]
    with h5py.File(path) as file:
        return file["gram"][:]


@pytest.mark.parametrize("suffix", ["npy", "csv", "h5", "hdf5", "zarr"])
def test_every_format(tmp_path, points, suffix):
    out = tmp_path / "new" / f"H.{suffix}"
    printed = ok("limit", "--data", tmp_path / "X.npy", "--out", out)
    np.testing.assert_array_equal(read(out), fastntk.limit_gram(points))
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    value = float(printed.split("lambda_0 = lambda_min = ")[1].split()[0])
    assert value == pytest.approx(np.linalg.eigvalsh(fastntk.limit_gram(points))[0], rel=1e-8)


def test_options_of_the_limit(tmp_path, points):
    ok("limit", "--data", tmp_path / "X.npy", "--layers", "both", "--depth", 3, "--scale", 2**0.5,
       "--dtype", "float32", "--threads", 1, "--out", tmp_path / "H.npy")  # fmt: skip
    expected = fastntk.limit_gram(points, layers="both", depth=3, scale=2**0.5, dtype="float32")
    found = np.load(tmp_path / "H.npy")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_options_of_the_network(tmp_path, points):
    ok("gram", "--data", tmp_path / "X.npy", "--layers", "both", "--width", 100, "--seed", 4,
       "--dtype", "float32", "--out", tmp_path / "H.h5")  # fmt: skip
    expected = fastntk.gram(points, width=100, seed=4, layers="both", dtype="float32")
    np.testing.assert_array_equal(read(tmp_path / "H.h5"), expected)


def test_layers_of_a_trained_network(tmp_path, points):
    fastntk.datasets.save_csv(tmp_path / "X.csv", points, np.ones(12))
    ok("train", "--data", tmp_path / "X.csv", "--width", 8, "--steps", 1, "--out", tmp_path / "run.npz")
    ok("gram", "--run", tmp_path / "run.npz", "--layers", "second", "--out", tmp_path / "H.npy")
    trained = fastntk.load(tmp_path / "run.npz")
    expected = fastntk.gram(trained.X, trained.net.W, trained.net.a, layers="second")
    np.testing.assert_array_equal(np.load(tmp_path / "H.npy"), expected)


def test_a_plan_computes_and_writes_nothing(tmp_path, points, monkeypatch):
    for name in ("gram", "limit_gram"):
        monkeypatch.setattr(fastntk, name, lambda *a, **k: pytest.fail("something was computed"))
    files = sorted(tmp_path.iterdir())
    printed = ok(
        "gram", "--data", tmp_path / "X.npy", "--width", 64, "--plan", "--out", tmp_path / "a" / "K.h5"
    )
    assert "12 x 12, d = 6, width 64, layers first, depth 1, float64" in printed
    assert printed.splitlines()[1].endswith("K.h5")
    printed = ok("limit", "--data", tmp_path / "X.npy", "--layers", "second", "--depth", 3, "--plan")
    assert "limit, layers second, depth 3" in printed
    assert f"kernel values  {3 * 78}" in printed
    assert printed.splitlines()[-1].split() == ["fits", "yes"]
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize("out", [None, "H.h5"])
def test_pictures(tmp_path, points, out):
    options = () if out is None else ("--out", tmp_path / out)
    ok("limit", "--data", tmp_path / "X.npy", *options,
       "--spectrum", tmp_path / "fig" / "s.png", "--heatmap", tmp_path / "fig" / "h.pdf")  # fmt: skip
    assert (tmp_path / "fig" / "s.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "fig" / "h.pdf").read_bytes().startswith(b"%PDF")


def test_eigenvalues_that_would_take_too_long_are_left_out_and_said_so(tmp_path, points, monkeypatch):
    monkeypatch.setattr(matrix_output, "_LARGEST", 11)
    command = ("limit", "--data", tmp_path / "X.npy", "--out", tmp_path / "H.npy")
    assert ok(*command) == "n = 12, lambda_0 = lambda_min is not computed for more than 11 samples\n"
    assert (tmp_path / "H.npy").exists()
    line = fails(*command, "--spectrum", tmp_path / "s.png")
    assert "--spectrum takes all eigenvalues, for at most 11 samples, got 12" in line


def test_eigenvalues_that_do_not_fit_are_left_out_and_said_so(tmp_path, points, monkeypatch):
    command = ("limit", "--data", tmp_path / "X.npy", "--out", tmp_path / "H.npy")

    def no_memory(needed, what):
        if "lambda" in what:
            raise fastntk.MemoryLimitError(f"{what} needs more")

    monkeypatch.setattr("fastntk.base.memory.require_memory", no_memory)
    assert "is not computed: lambda_0 = lambda_min of a 12 x 12 matrix needs more" in ok(*command)
    assert "needs more" in fails(*command, "--spectrum", tmp_path / "s.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "--data: .*not a readable .npy"),
        (b"\x93NUMPY\x01\x00garbage", "--data: .*not a readable .npy"),
        (np.array([[1.0, np.nan]]), r"--data: .* must be finite, got nan at index \(0, 1\)"),
        (np.ones(3), r"--data: .* 2 dimension"),
        (np.empty((0, 3)), "--data: .* must not be empty"),
        (np.array([["a"]]), "--data: .* real numbers"),
        (np.array([[{}]]), "--data: .*not a readable .npy"),
    ],
)
@pytest.mark.parametrize("command", ["gram", "limit"])
def test_bad_matrices_of_samples(tmp_path, content, message, command):
    if isinstance(content, bytes):
        (tmp_path / "X.npy").write_bytes(content)
    else:
        np.save(tmp_path / "X.npy", content)
    line = fails(command, "--data", tmp_path / "X.npy", "--out", tmp_path / "H.npy")
    assert re.search(message, line), line
    assert not (tmp_path / "H.npy").exists()


def test_bad_options(tmp_path, points):
    data = ("--data", tmp_path / "X.npy")
    (tmp_path / "old.h5").touch()
    (tmp_path / "file").touch()
    for command, message in [
        (("limit", *data, "--depth", 0), "--depth"),
        (("limit", *data, "--depth", 2), "--layers first exists at --depth 1 only"),
        (("limit", *data, "--scale", -1), "--scale must be finite and above 0"),
        (("limit", *data, "--scale", "nan"), "--scale"),
        (("limit", *data, "--dtype", "float16"), "--dtype"),
        (("limit", *data, "--layers", "third"), "--layers"),
        (("gram", *data, "--width", 0), "--width"),
        (
            ("gram", *data, "--out", tmp_path / "H.txt"),
            "--out must be a file name ending in .h5, .hdf5, .zarr, .npy",
        ),
        (("gram", *data, "--out", tmp_path / "old.h5"), "--out: "),
        (("gram", *data, "--heatmap", tmp_path / "H.jpg"), "--heatmap: "),
        (("gram", *data, "--spectrum", tmp_path / "H"), "--spectrum: "),
        (("gram", *data, "--heatmap", tmp_path / "file" / "H.png"), "--heatmap: the folder"),
        (("limit", "--data", tmp_path / "absent.npy"), "absent.npy"),
    ]:
        assert message in fails(*command)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["X.npy", "file", "old.h5"]


def test_a_missing_library_is_one_line(tmp_path, points, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    line = fails("limit", "--data", tmp_path / "X.npy", "--out", tmp_path / "H.h5")
    assert "h5py: pip install 'fastntk[hdf5]'" in line


def test_an_existing_npy_file_is_replaced_only_by_a_whole_one(tmp_path, points, monkeypatch):
    out = tmp_path / "H.npy"
    out.write_text("old")
    command = ("limit", "--data", tmp_path / "X.npy", "--out", out)
    fill = fastntk.matrices.limit.LimitGram.fill

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(fastntk.matrices.limit.LimitGram, "fill", interrupted)
    line = fails(*command, status=130)
    assert (
        line == f"interrupted: what is finished is kept in {out}.partial; the same command goes on from there"
    )
    assert out.read_text() == "old"
    assert fails(*command[:3], status=130) == "interrupted: nothing was written"
    monkeypatch.setattr(fastntk.matrices.limit.LimitGram, "fill", fill)
    np.save(tmp_path / "X.npy", 2 * points)
    assert "holds the beginning of another matrix" in fails(*command)
    np.save(tmp_path / "X.npy", points)
    ok(*command)
    np.testing.assert_array_equal(np.load(out), fastntk.limit_gram(points))
    assert not list(tmp_path.glob("H.npy.*"))


def test_warnings_are_one_line(tmp_path):
    np.save(tmp_path / "X.npy", [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    done = subprocess.run(
        [sys.executable, "-m", "fastntk", "limit", "--data", str(tmp_path / "X.npy")],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = complaints(done.stderr).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Warning: ")
    assert "warnings.warn" not in lines[0]
    assert "lambda_0" in done.stdout


def test_ctrl_c_leaves_what_the_same_command_finishes(tmp_path, rng):
    """A real signal, after the first of six blocks."""
    np.save(tmp_path / "X.npy", rng.standard_normal((6000, 8)))
    out = tmp_path / "H.npy"
    command = [sys.executable, "-m", "fastntk", "limit", "--data", str(tmp_path / "X.npy"), "--out", str(out),
               "--layers", "both", "--depth", "8"]  # fmt: skip
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    journal, deadline = tmp_path / "H.npy.journal", time.monotonic() + 120
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 1):
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.005)
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=120)
    assert child.returncode == 130, stderr
    assert stdout == ""
    assert (
        complaints(stderr)
        == f"interrupted: what is finished is kept in {out}.partial; the same command goes on from there\n"
    )
    assert not out.exists()
    assert os.path.getsize(f"{out}.partial") == 6000 * 6000 * 8 + 128
