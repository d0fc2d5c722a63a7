"""Matrices written block by block: whole or resumable, whatever ends the computation, and never mixed."""

import signal
import subprocess
import sys
from functools import partial

import h5py
import numpy as np
import pytest
import zarr

from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled import compute
from fastntk.matrices.tiled.journal import Journal
from fastntk.matrices.tiled.whole import fill_target, target_of
from tests.matrices.tiled_targets import (
    BLOCKS,
    PERSISTENT,
    SIDE,
    TARGETS,
    N,
    Stopping,
    begin,
    blockwise,
    finish,
    memmap,
    names,
    read,
    reopened,
)


@pytest.mark.parametrize("kind", PERSISTENT)
def test_an_interrupted_computation_goes_on(tmp_path, source, kind):
    out = TARGETS[kind](tmp_path, source)
    begin(source, out, 6)
    journal = next(tmp_path.rglob("*.journal"))
    assert "incomplete" in journal.read_text()
    assert not (tmp_path / "K.npy").exists()
    out = reopened(out)
    calls, rest = [], Stopping(source, BLOCKS)
    result = blockwise(rest, out, lambda done, total: calls.append((done, total)))
    assert rest.filled == BLOCKS - 6
    total = N * (N + 1) // 2
    assert [one[1] for one in calls] == [total] * (BLOCKS - 6)
    assert calls[-1][0] == total
    assert calls[0][0] > 6 * SIDE * SIDE / 2  # what was there before counts as done
    np.testing.assert_array_equal(read(result), compute(source))
    assert not list(tmp_path.rglob("*.journal")) + list(tmp_path.rglob("*.partial"))


KILLED = """
import json, os, signal, sys
import h5py, zarr
import numpy as np
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled.whole import fill_target, target_of
folder, stop = sys.argv[1], int(sys.argv[2])
source = limit_source(np.load(folder + "/X.npy"))
def kill(done, total):
    if done >= stop:
        os.kill(os.getpid(), signal.SIGKILL)
OPEN = {
    "dat": lambda path: np.memmap(path, "f8", "w+", shape=source.shape),
    "chunks": lambda path: h5py.File(path, "w").create_dataset("K", source.shape, "f8", chunks=(10, 10)),
    "zarray": lambda path: zarr.create_array(path, shape=source.shape, dtype="f8", chunks=(15, 15)),
}
found = {}
for kind in ("npy", "h5", "zarr", *OPEN):  # processes forked before any kernel has run
    child = os.fork()
    if child == 0:
        path = folder + "/K." + kind
        fill_target(source, target_of(OPEN.get(kind, str)(path), source), kill, 30)
        os._exit(0)
    found[kind] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(found))
"""

REOPEN = {
    "dat": lambda path, shape: np.memmap(path, "f8", "r+", shape=shape),
    "chunks": lambda path, shape: h5py.File(path, "r+")["K"],
    "zarray": lambda path, shape: zarr.open_array(path, mode="r+"),
}


def test_a_killed_process_leaves_what_another_one_finishes(tmp_path, rng, python):
    X = rng.standard_normal((300, 5))
    np.save(tmp_path / "X.npy", X)
    source = limit_source(X)
    expected = fill_target(source, target_of(tmp_path / "other.npy", source), False, 30)
    stop = int(rng.integers(1, 300 * 301 // 2 - 1000))
    statuses = python(KILLED, tmp_path, stop)
    assert list(statuses.values()) == [-signal.SIGKILL] * 6
    left = names(tmp_path)
    assert len([name for name in left if name.endswith("journal")]) == 6
    assert {"K.npy", "K.h5", "K.zarr"}.isdisjoint(left)
    for kind in statuses:
        path = tmp_path / f"K.{kind}"
        out = REOPEN[kind](path, source.shape) if kind in REOPEN else path
        rest, reached = Stopping(source, 55), []
        result = fill_target(
            rest, target_of(out, source), partial(lambda to, *call: to.append(call), reached), 30
        )
        np.testing.assert_array_equal(read(result), expected)
        assert rest.filled == len(reached) < 55
        assert reached[0][0] > stop
    assert not [name for name in names(tmp_path) if "partial" in name or "journal" in name]


@pytest.mark.parametrize("kind", PERSISTENT)
def test_the_beginning_of_another_matrix_is_refused(tmp_path, source, rng, kind):
    out = TARGETS[kind](tmp_path, source)
    begin(source, out, 4)
    other = limit_source(rng.standard_normal((N, 7)))
    out = reopened(out)
    with pytest.raises(
        ValueError, match=f"source {source.fingerprint()[:12]}.*source {other.fingerprint()[:12]}"
    ):
        blockwise(other, out)
    np.testing.assert_array_equal(read(blockwise(source, out)), compute(source))


BY_NAME = [".npy", ".h5", ".zarr"]


def another(change, rng):
    """A matrix that is not `source`, by one change."""
    X = rng.integers(-3, 4, (40 if change == "shape" else N, 7))
    return limit_source(
        X,
        rng.integers(-3, 4, (N, 7)) if change == "cross" else None,
        layers="both" if change == "layers" else "first",
        dtype="float32" if change == "dtype" else "float64",
    )


@pytest.mark.parametrize("change", ["shape", "dtype", "layers", "data", "cross"])
@pytest.mark.parametrize("kind", BY_NAME)
def test_an_unfinished_matrix_is_never_destroyed_by_another_one(tmp_path, source, rng, kind, change):
    out = tmp_path / f"K{kind}"
    begin(source, out, 4)
    left = names(tmp_path)
    with pytest.raises(ValueError, match=r"^out: .* holds the beginning of another matrix") as caught:
        blockwise(another(change, rng), out)
    for name in left:  # the two that are to be removed
        assert repr(str(tmp_path / name)) in str(caught.value)
    assert names(tmp_path) == left
    finish(source, out, BLOCKS - 4)


@pytest.mark.parametrize("kind", BY_NAME)
def test_removing_the_named_files_starts_anew(tmp_path, source, cross, kind):
    out = tmp_path / f"K{kind}"
    begin(source, out, 4)
    next(tmp_path.rglob("*.journal")).unlink()
    np.testing.assert_array_equal(read(blockwise(cross, out)), compute(cross))
    assert names(tmp_path) == [out.name]


def test_a_finished_npy_is_replaced_by_another_matrix(tmp_path, source, cross):
    blockwise(source, tmp_path / "K.npy")
    np.testing.assert_array_equal(blockwise(cross, tmp_path / "K.npy"), compute(cross))


@pytest.mark.parametrize("kind", PERSISTENT)
def test_what_another_version_began_is_refused(tmp_path, source, monkeypatch, kind):
    monkeypatch.setattr("fastntk.__version__", "3.4.0")
    out = TARGETS[kind](tmp_path, source)
    begin(source, out, 4)
    out = reopened(out)
    monkeypatch.setattr("fastntk.__version__", "3.5.0")
    with pytest.raises(ValueError, match=r"\(fastntk '3\.4'; this one has fastntk '3\.5'\)"):
        blockwise(source, out)
    monkeypatch.setattr("fastntk.__version__", "3.4.7")  # a patch changes no numbers
    finish(source, out, BLOCKS - 4)


def test_a_journal_that_names_no_version_is_refused(tmp_path, source, monkeypatch):
    monkeypatch.setattr("fastntk.__version__", "3.4.0")
    begin(source, tmp_path / "K.npy", 4)
    journal = tmp_path / "K.npy.journal"
    journal.write_text(journal.read_text().replace('"fastntk": "3.4", ', ""))
    with pytest.raises(ValueError, match=r"\(fastntk unknown; this one has fastntk '3\.4'\)"):
        blockwise(source, tmp_path / "K.npy")


def test_a_target_that_was_emptied_since_is_computed_anew(tmp_path, source):
    out = memmap(tmp_path, source)
    begin(source, out, 8)
    del out
    out = memmap(tmp_path, source)  # "w+" again: all zeros
    again = Stopping(source, BLOCKS)
    np.testing.assert_array_equal(blockwise(again, out), compute(source))
    assert again.filled == BLOCKS


def test_a_journal_whose_partial_file_is_gone_means_nothing(tmp_path, source, cross):
    begin(source, tmp_path / "K.npy", 8)
    (tmp_path / "K.npy.partial").unlink()
    np.testing.assert_array_equal(blockwise(cross, tmp_path / "K.npy"), compute(cross))
    assert names(tmp_path) == ["K.npy"]


@pytest.mark.parametrize("tail", [b"1 1", b"1 1 12", b"garbage\n2 2 5\n", b"\x00\x00\x00"])
def test_a_torn_line_of_the_journal_is_ignored(tmp_path, source, tail):
    begin(source, tmp_path / "K.npy", 4)
    path = tmp_path / "K.npy.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + tail)
    begin(source, tmp_path / "K.npy", 3)
    assert b"".join(path.read_bytes().splitlines(keepends=True)[:3]) == b"".join(lines[:3])
    assert len(path.read_text().splitlines()) == 1 + 2 + 3
    finish(source, tmp_path / "K.npy", BLOCKS - 5)


def test_a_torn_header_starts_anew(tmp_path, source):
    begin(source, tmp_path / "K.npy", 4)
    path = tmp_path / "K.npy.journal"
    path.write_bytes(path.read_bytes()[:40])
    np.testing.assert_array_equal(blockwise(source, tmp_path / "K.npy"), compute(source))


@pytest.mark.parametrize("kind", PERSISTENT)
def test_two_writers_cannot_meet(tmp_path, source, kind):
    out = TARGETS[kind](tmp_path, source)

    class Meeting(Stopping):
        def fill(self, rows, columns, block):
            if self.filled == 3:
                with pytest.raises(BlockingIOError, match="is being written by another computation"):
                    blockwise(source, out)
            super().fill(rows, columns, block)

    np.testing.assert_array_equal(read(blockwise(Meeting(source, BLOCKS), out)), compute(source))


def test_a_lock_ends_with_its_process(tmp_path, source):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom fastntk.matrices.tiled.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), 'K')\nprint('locked', flush=True)\ntime.sleep(100)\n"
    )
    path = tmp_path / "K.npy.journal"
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(BlockingIOError):
            Journal(path, "K")
    finally:
        child.kill()
        child.communicate()
    Journal(path, "K").close()
