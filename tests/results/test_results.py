"""Runs and sweeps as files: lossless, whole or absent, and safe to load."""

import getpass
import json
import platform
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

import fastntk
from fastntk.base import storage
from fastntk.results import SERIES, Run, archive, provenance


def made_run(width=3, seed=0, steps=4):
    """A run with every series, filled with numbers that no decimal notation of a few digits can hold."""
    rng = np.random.default_rng([width, seed])
    series = {name: rng.standard_normal(steps) for name in SERIES}
    series["drift"][-1] = np.inf
    series["flips"][0] = -0.0
    series["loss"][1] = np.nan
    record = provenance.collect(width=width, seed=seed, lr=0.1, note="größer", big=2**60, tenth=0.1 + 0.2)
    return Run(steps=np.arange(steps), provenance=record, **series)


def same_bits(left, right):
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_comes_back_bit_for_bit(tmp_path, dtype):
    X, y = fastntk.datasets.sphere(5, 3, seed=1)
    run = made_run()
    run.net = fastntk.TwoLayerReLU.init(3, 7, seed=2, dtype=dtype)
    run.X, run.y = X.astype(dtype), y
    path = run.save(tmp_path / "name without suffix")
    back = fastntk.load(path)
    assert isinstance(back, Run)
    for name in ("steps", *SERIES, "X", "y"):
        assert same_bits(getattr(back, name), getattr(run, name)), name
    assert same_bits(np.asarray(back.net.W), np.asarray(run.net.W))
    assert same_bits(np.asarray(back.net.a), np.asarray(run.net.a))
    assert back.provenance == json.loads(json.dumps(run.provenance)) == run.provenance


def test_absent_series_stay_absent(tmp_path):
    run = Run(steps=[0, 5], loss=[2.0, 1.0], provenance={"width": 4, "seed": None, "lr": 0.5})
    back = fastntk.load(run.save(tmp_path / "run.npz"))
    assert back.flips is None
    assert back.net is None
    assert list(back.series) == ["loss"]
    assert (back.width, back.seed, back.lr, back.seconds) == (4, None, 0.5, None)


def test_a_sweep_comes_back_bit_for_bit(tmp_path):
    runs = [made_run(width, seed) for width in range(1, 13) for seed in (0, 1)]
    sweep = fastntk.Sweep(runs, {"lambda_0": 0.1 + 0.2}, {"steps": 4})
    back = fastntk.load(sweep.save(tmp_path / "sweep.npz"))
    assert isinstance(back, fastntk.Sweep)
    assert (back.limit, back.settings) == (sweep.limit, sweep.settings)
    assert [(run.width, run.seed) for run in back.runs] == [(run.width, run.seed) for run in runs]
    for mine, theirs in zip(runs, back.runs, strict=True):
        assert all(same_bits(mine.series[name], theirs.series[name]) for name in SERIES)


def test_the_trained_network_and_its_gram_matrix_survive(tmp_path):
    X, y = fastntk.datasets.sphere(9, 4, seed=0)
    run = fastntk.train(X, y, width=20, steps=3, metrics="all")
    back = fastntk.load(run.save(tmp_path / "run.npz"))
    np.testing.assert_array_equal(back.gram(), fastntk.gram(X, W=run.net.W))
    np.testing.assert_array_equal(back.loss, run.loss)


def test_a_run_without_network_says_so():
    with pytest.raises(ValueError, match="keeps no network"):
        made_run().gram()


def test_series_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"drift: got shape \(3,\)"):
        Run(steps=[0, 1], drift=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="steps"):
        Run(steps=[[0, 1]])


def test_rows_are_tidy_and_csv_keeps_every_digit(tmp_path):
    run = made_run()
    rows = run.rows()
    assert list(rows[0]) == ["width", "seed", "step", *SERIES]
    assert all(type(value) in (int, float) for value in rows[0].values())
    lines = run.to_csv(tmp_path / "run.csv").read_text().splitlines()
    table = np.array([line.split(",") for line in lines[1:]], dtype=float)
    for column, name in enumerate(SERIES, start=3):
        np.testing.assert_array_equal(table[:, column], run.series[name])


def test_foreign_and_damaged_files_are_refused(tmp_path):
    whole = made_run().save(tmp_path / "run.npz").read_bytes()
    cases = {
        "text": b"not an archive",
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}' is not a readable fastntk result"):
            fastntk.load(tmp_path / name)
    np.savez(tmp_path / "other.npz", steps=np.arange(3))
    with pytest.raises(ValueError, match="not a readable"):
        fastntk.load(tmp_path / "other.npz")
    np.save(tmp_path / "array.npy", np.arange(3))
    with pytest.raises(ValueError, match="not a readable"):
        fastntk.load(tmp_path / "array.npy")
    with pytest.raises(FileNotFoundError):
        fastntk.load(tmp_path / "absent.npz")


def test_no_pickled_object_is_ever_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was executed",))

    np.savez(tmp_path / "bomb.npz", header=np.array([Bomb()], dtype=object))
    with pytest.raises(ValueError, match="not a readable"):
        fastntk.load(tmp_path / "bomb.npz")


def test_files_of_a_newer_format_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_FORMAT", 99)
    made_run().save(tmp_path / "run.npz")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format 99"):
        fastntk.load(tmp_path / "run.npz")


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted():
        with storage.atomic_write(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    # The file size limit of the process stands for the full disk: write(2) fails half way with a real OSError.
    script = (
        "import resource, signal, sys, numpy as np\n"
        "from fastntk.results import Run\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "run = Run(steps=np.arange(100000), loss=np.ones(100000), provenance={'width': 1})\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (100000, {resource.getrlimit(resource.RLIMIT_FSIZE)[1]}))\n"
        "try:\n"
        "    run.save(sys.argv[1])\n"
        "except OSError:\n"
        "    sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "run.npz")], check=False)
    assert done.returncode == 7
    assert list(tmp_path.iterdir()) == []


def test_new_files_get_the_permissions_of_the_umask(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with storage.atomic_write(tmp_path / "atomic") as file:
        file.write(b"x")
    assert (tmp_path / "atomic").stat().st_mode == plain.stat().st_mode


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with storage.atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_folder_that_cannot_be_made_is_named_and_leaves_no_trace(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"results: the folder .* cannot be written"):
        storage.ensure_folder(tmp_path / "file" / "below", "results")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    storage.ensure_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    with pytest.raises(IsADirectoryError):
        storage.ensure_parent(tmp_path / "a")


def test_unfinished_files_of_dead_processes_are_removed(tmp_path):
    script = (
        "import os, signal, sys\n"
        "from fastntk.base.storage import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "run.npz")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with storage.atomic_write(tmp_path / "mine"):
        storage.remove_leftovers(tmp_path)  # must not touch the file that this process is writing
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_data_hash_knows_values_shape_and_dtype_only():
    X = np.arange(6.0).reshape(2, 3)
    reference = provenance.data_hash(X)
    assert reference == provenance.data_hash(np.asfortranarray(X)) == provenance.data_hash(X.astype(">f8"))
    others = [X.reshape(3, 2), X.astype(np.float32), X + 1e-15 * X, np.ascontiguousarray(X.T), X[:1]]
    assert reference not in [provenance.data_hash(other) for other in others]
    assert provenance.data_hash(X, X[0]) != provenance.data_hash(X[0], X)


def test_the_environment_is_json_and_names_no_place_or_person():
    record = provenance.environment()
    text = json.dumps(record)
    assert record["fastntk"] == fastntk.__version__
    assert record["cores"] >= 1
    assert {"numpy", "numba"} <= set(record["versions"])
    assert platform.node() not in text.split('"')
    assert getpass.getuser() not in text.split('"')


def test_a_run_saved_under_the_former_names_of_series() -> None:
    """0.1 called the residual of the smallest eigenvalue its bound, and had no proven bound."""
    run = Run(steps=[0, 1], loss=[8.0, 2.0], lambda_min=[0.3, 0.2], lambda_min_residual=[1e-9, 2e-9])
    arrays = run.arrays()
    arrays["lambda_min_bound"] = arrays.pop("lambda_min_residual")
    read = Run.from_arrays(arrays, {})
    assert np.array_equal(read.lambda_min_residual, run.lambda_min_residual)
    assert read.lambda_min_lower is None
