"""Matrices written block by block: the same numbers everywhere, whole or resumable whatever happens meanwhile."""

import errno
import os
import signal
import subprocess
import sys
from functools import partial

import h5py
import numpy as np
import psutil
import pytest
import zarr

from fastntk.base.errors import MemoryLimitError
from fastntk.kernels.cpu.limit import EDGES
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled import compute, files, targets
from fastntk.matrices.tiled.blocks import UNIT, cut
from fastntk.matrices.tiled.journal import Journal
from fastntk.matrices.tiled.whole import fill_target, target_of

N, SIDE = 50, 16
BLOCKS = 10  # on and below the diagonal of 4 x 4


@pytest.fixture
def source(rng):
    return limit_source(rng.integers(-3, 4, (N, 7)))  # exact products: no rounding depends on the blocks


@pytest.fixture
def cross(rng):
    return limit_source(rng.integers(-3, 4, (N, 7)), rng.integers(-3, 4, (37, 7)), dtype="float32")


def test_a_narrow_matrix_needs_no_more_memory_than_it_has_entries(rng, tmp_path, monkeypatch):
    narrow = limit_source(rng.integers(-3, 4, (N, 7)), rng.integers(-3, 4, (2, 7)))
    monkeypatch.setattr("fastntk.base.memory.available_bytes", lambda: 3 * 8 * N * 2)
    assert np.array_equal(compute(narrow, tmp_path / "K.npy"), compute(narrow))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def blockwise(source, out, progress=False):
    return fill_target(source, target_of(out, source), progress, SIDE)


def read(result):
    if isinstance(result, os.PathLike):
        if result.suffix == ".zarr":
            return zarr.open_array(result, mode="r")[:]
        with h5py.File(result) as file:
            return file[files.DATASET][:]
    return result[:]


def memmap(folder, source):
    return np.memmap(folder / "K.dat", source.dtype, "w+", 64, source.shape)


def dataset(**storage):
    def make(folder, source):
        return h5py.File(folder / "K.h5", "w").create_dataset("a/K", source.shape, source.dtype, **storage)

    return make


def zarr_array(**storage):
    def make(folder, source):
        return zarr.create_array(folder / "K.zarr", shape=source.shape, dtype=source.dtype, **storage)

    return make


TARGETS = {
    "npy": lambda folder, source: folder / "K.npy",
    "h5": lambda folder, source: str(folder / "K.h5"),
    "zarr": lambda folder, source: folder / "new" / "K.zarr",
    "memmap": memmap,
    "memmap view": lambda folder, source: np.memmap(
        folder / "K.dat", source.dtype, "w+", shape=(source.shape[0] + 9, source.shape[1])
    )[9:],
    "private memmap": lambda folder, source: np.memmap(
        memmap(folder, source).filename, source.dtype, "c", 64, source.shape
    ),
    "hdf5": dataset(),
    "hdf5 chunks": dataset(chunks=(8, 7)),
    "hdf5 gzip": dataset(chunks=(8, 8), compression="gzip"),
    "hdf5 memory": lambda folder, source: h5py.File(
        folder / "K.h5", "w", driver="core", backing_store=False
    ).create_dataset("K", source.shape, source.dtype),
    "zarr array": zarr_array(chunks=(8, 16)),
    "zarr unaligned": zarr_array(chunks=(20, 5), compressors=None),
    "zarr shards": zarr_array(chunks=(4, 4), shards=(8, 8)),
    "zarr memory": lambda folder, source: zarr.create_array(
        zarr.storage.MemoryStore(), shape=source.shape, dtype=source.dtype, chunks=(16, 16)
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TARGETS)
def test_every_target_holds_the_same_numbers(tmp_path, source, cross, kind):
    for number, one in enumerate((source, cross)):
        folder = tmp_path / str(number)
        folder.mkdir()
        out = TARGETS[kind](folder, one)
        result = blockwise(one, out)
        np.testing.assert_array_equal(read(result), compute(one))
        assert not [name for name in names(folder) if "partial" in name or "journal" in name]
        if not isinstance(out, (str, os.PathLike)):
            assert result is out


def test_default_blocks_and_what_is_returned(tmp_path, source):
    expected = compute(source)
    mapped = compute(source, tmp_path / "K.npy")
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(np.load(tmp_path / "K.npy"), expected)
    assert compute(source, str(tmp_path / "K.hdf5")) == tmp_path / "K.hdf5"
    assert compute(source, tmp_path / "K.zarr") == tmp_path / "K.zarr"
    given = np.empty((N, N))
    assert compute(source, given) is given
    np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize(("dtype", "edge"), [(name, edge) for name in "fd" for edge in EDGES[name]])
@pytest.mark.parametrize("d", [30, 257])
def test_symmetric_to_the_bit_and_equal_to_the_whole_at_multiples_of_a_tile(
    tmp_path, rng, monkeypatch, dtype, edge, d
):
    """BLAS may sum in another order in a tile of another shape, so the tiles have to be those of the whole."""
    monkeypatch.setitem(EDGES, dtype, (edge,))
    X, Z = rng.standard_normal((3 * edge + 50, d)), rng.standard_normal((2 * edge + 9, d))
    for name, others in (("square", None), ("cross", Z)):
        source = limit_source(X, others, layers="both", dtype=dtype)
        for blocks in (edge, 2 * edge):
            target = target_of(tmp_path / f"{name}-{blocks}.npy", source)
            np.testing.assert_array_equal(fill_target(source, target, False, blocks), compute(source))


def test_blocks_start_at_multiples_of_every_tile():
    assert all(UNIT[np.dtype(name).itemsize] % edge == 0 for name in "fd" for edge in EDGES[name])


def test_any_blocks_make_a_symmetric_matrix(tmp_path, rng):
    source = limit_source(rng.standard_normal((300, 30)), layers="both")
    tiled = compute(source)
    uneven = fill_target(source, target_of(tmp_path / "L.npy", source), False, 77)
    np.testing.assert_array_equal(uneven, uneven.T)
    np.testing.assert_allclose(uneven, tiled, rtol=0, atol=1e-13 * tiled.max())


@pytest.mark.parametrize("shape", [(50000, 50000), (50000, 10), (10, 50000), (7000, 90000), (1, 1)])
@pytest.mark.parametrize("chunks", [(1, 1), (512, 512), (391, 782), (1, 50000), (7, 11)])
def test_blocks_cover_every_entry_once_and_keep_to_chunks(shape, chunks):
    for symmetric in {False, shape[0] == shape[1]}:
        blocks = cut(shape, symmetric, 4, chunks)
        assert blocks.height * min(blocks.width, shape[1]) * 4 <= 105e6
        assert len(blocks) == len(list(blocks))
        total = shape[0] * (shape[0] + 1) // 2 if symmetric else shape[0] * shape[1]
        assert sum(blocks.entries(place) for place in blocks) == total
        if chunks != (1, 50000):
            assert blocks.height % chunks[0] == blocks.width % chunks[1] == 0
        if chunks == (1, 1):
            assert blocks.height % 2560 == blocks.width % 2560 == 0


class Stopping:
    """A source whose computation ends early."""

    def __init__(self, source, after, error=KeyboardInterrupt):
        self._source, self._left, self._error = source, after, error
        self.filled = 0

    def __getattr__(self, name):
        return getattr(self._source, name)

    def fill(self, rows, columns, out):
        if self.filled == self._left:
            raise self._error
        self.filled += 1
        self._source.fill(rows, columns, out)


def reopened(out):
    """The target as a new process would see it."""
    if isinstance(out, np.memmap):
        out.flush()
        return np.memmap(out.filename, out.dtype, "r+", out.offset, out.shape)
    if isinstance(out, h5py.Dataset):
        file, name = out.file.filename, out.name
        out.file.close()
        return h5py.File(file, "r+")[name]
    if isinstance(out, zarr.Array):
        return zarr.open_array(out.store, path=out.path, mode="r+")
    return out


PERSISTENT = [
    name for name in TARGETS if "memory" not in name and name not in ("private memmap", "memmap view")
]


@pytest.mark.parametrize("kind", PERSISTENT)
def test_an_interrupted_computation_goes_on(tmp_path, source, kind):
    out = TARGETS[kind](tmp_path, source)
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 6), out)
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
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 4), out)
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
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 4), out)
    left = names(tmp_path)
    with pytest.raises(ValueError, match=r"^out: .* holds the beginning of another matrix") as caught:
        blockwise(another(change, rng), out)
    for name in left:  # the two that are to be removed
        assert repr(str(tmp_path / name)) in str(caught.value)
    assert names(tmp_path) == left
    rest = Stopping(source, BLOCKS)
    np.testing.assert_array_equal(read(blockwise(rest, out)), compute(source))
    assert rest.filled == BLOCKS - 4


@pytest.mark.parametrize("kind", BY_NAME)
def test_removing_the_named_files_starts_anew(tmp_path, source, cross, kind):
    out = tmp_path / f"K{kind}"
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 4), out)
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
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 4), out)
    out = reopened(out)
    monkeypatch.setattr("fastntk.__version__", "3.5.0")
    with pytest.raises(ValueError, match=r"\(fastntk '3\.4'; this one has fastntk '3\.5'\)"):
        blockwise(source, out)
    monkeypatch.setattr("fastntk.__version__", "3.4.7")  # a patch changes no numbers
    rest = Stopping(source, BLOCKS)
    np.testing.assert_array_equal(read(blockwise(rest, out)), compute(source))
    assert rest.filled == BLOCKS - 4


def test_a_journal_that_names_no_version_is_refused(tmp_path, source, monkeypatch):
    monkeypatch.setattr("fastntk.__version__", "3.4.0")
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 4), tmp_path / "K.npy")
    journal = tmp_path / "K.npy.journal"
    journal.write_text(journal.read_text().replace('"fastntk": "3.4", ', ""))
    with pytest.raises(ValueError, match=r"\(fastntk unknown; this one has fastntk '3\.4'\)"):
        blockwise(source, tmp_path / "K.npy")


def test_a_target_that_was_emptied_since_is_computed_anew(tmp_path, source):
    out = memmap(tmp_path, source)
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 8), out)
    del out
    out = memmap(tmp_path, source)  # "w+" again: all zeros
    again = Stopping(source, BLOCKS)
    np.testing.assert_array_equal(blockwise(again, out), compute(source))
    assert again.filled == BLOCKS


def test_a_journal_whose_partial_file_is_gone_means_nothing(tmp_path, source, cross):
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 8), tmp_path / "K.npy")
    (tmp_path / "K.npy.partial").unlink()
    np.testing.assert_array_equal(blockwise(cross, tmp_path / "K.npy"), compute(cross))
    assert names(tmp_path) == ["K.npy"]


@pytest.mark.parametrize("tail", [b"1 1", b"1 1 12", b"garbage\n2 2 5\n", b"\x00\x00\x00"])
def test_a_torn_line_of_the_journal_is_ignored(tmp_path, source, tail):
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 4), tmp_path / "K.npy")
    path = tmp_path / "K.npy.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + tail)
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 3), tmp_path / "K.npy")
    assert b"".join(path.read_bytes().splitlines(keepends=True)[:3]) == b"".join(lines[:3])
    assert len(path.read_text().splitlines()) == 1 + 2 + 3
    rest = Stopping(source, BLOCKS)
    np.testing.assert_array_equal(blockwise(rest, tmp_path / "K.npy"), compute(source))
    assert rest.filled == BLOCKS - 5


def test_a_torn_header_starts_anew(tmp_path, source):
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 4), tmp_path / "K.npy")
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


class Usage:
    free = 100


NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("kind", ["npy", "h5", "zarr", "memmap", "hdf5", "zarr unaligned"])
def test_a_full_disk_is_found_out_before_the_work(tmp_path, source, monkeypatch, kind):
    def full(*arguments):
        raise NO_SPACE

    (tmp_path / "K.npy").write_text("precious")
    out = TARGETS[kind](tmp_path, source)
    before = names(tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    monkeypatch.setattr(targets.shutil, "disk_usage", lambda folder: Usage())
    with pytest.raises(OSError, match=r"out: no room for the .* GiB of the matrix") as found:
        blockwise(Stopping(source, 0, AssertionError), out)
    assert found.value.errno == errno.ENOSPC
    assert [name for name in names(tmp_path) if name != "new"] == before
    assert (tmp_path / "K.npy").read_text() == "precious"


def test_without_reservation_the_free_space_is_compared(tmp_path, source, monkeypatch):
    def unsupported(*arguments):
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "posix_fallocate", unsupported, raising=False)
    np.testing.assert_array_equal(blockwise(source, tmp_path / "K.npy"), compute(source))
    monkeypatch.setattr(targets.shutil, "disk_usage", lambda folder: Usage())
    with pytest.raises(OSError, match="are free"):
        blockwise(source, tmp_path / "L.npy")
    assert names(tmp_path) == ["K.npy"]


@pytest.mark.parametrize("kind", ["npy", "h5", "zarr", "memmap", "hdf5 chunks"])
def test_a_write_that_fails_in_the_middle_leaves_a_resumable_file(tmp_path, source, monkeypatch, kind):
    out = TARGETS[kind](tmp_path, source)
    target = target_of(out, source)
    write, written = target.write, []

    def failing(rows, columns, block):
        if len(written) == 5:
            raise NO_SPACE
        written.append(rows)
        write(rows, columns, block)

    target.write = failing
    with pytest.raises(
        OSError, match=r"out: .*cannot be written \(No space left.*\); 3 of 10 blocks are kept"
    ) as found:
        fill_target(source, target, False, SIDE)
    assert found.value.errno == errno.ENOSPC
    out, rest = reopened(out), Stopping(source, BLOCKS)
    np.testing.assert_array_equal(read(blockwise(rest, out)), compute(source))
    assert rest.filled == BLOCKS - 3


def test_a_disk_that_is_really_full(tmp_path, source):
    """A file-size limit: the space cannot be reserved, and a mapped file would be a signal."""
    script = (
        "import resource, signal, sys\nimport numpy as np\nfrom fastntk.matrices.limit import limit_source\n"
        "from fastntk.matrices.tiled import compute\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "source = limit_source(np.eye(200))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    compute(source, sys.argv[1])\n"
        "except OSError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "K.npy")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "out: no room for the" in done.stdout, done.stderr
    assert names(tmp_path) == []


def test_bad_targets(tmp_path, source, monkeypatch):
    float32 = limit_source(np.eye(N, 7), dtype="float32")
    read_only = np.zeros((N, N))
    read_only.flags.writeable = False
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "old.h5").touch()
    (tmp_path / "file").touch()
    wide = memmap(tmp_path, source)
    np.save(tmp_path / "old.npy", wide)
    with h5py.File(tmp_path / "r.h5", "w") as file:
        closed = file.create_dataset("K", (N, N), "f8")
    cases = [
        (np.zeros((N, N), "f4"), ValueError, r"dtype float64, got .* float32"),
        (np.zeros((N, N + 1)), ValueError, rf"shape \({N}, {N}\)"),
        (np.zeros((N, N)).T[::-1], ValueError, "C-contiguous"),
        (read_only, ValueError, "writeable"),
        (np.load(tmp_path / "old.npy", mmap_mode="r"), ValueError, "writeable"),
        (closed, ValueError, "closed"),
        (h5py.File(tmp_path / "r.h5", "r")["K"], ValueError, "reading only"),
        ([[0.0]], TypeError, "got list"),
        (7, TypeError, "got int"),
        (tmp_path / "K.txt", ValueError, r"\.npy, \.h5, \.hdf5, \.zarr"),
        (tmp_path / "folder.npy", IsADirectoryError, "out: .* is a folder"),
        (tmp_path / "old.h5", FileExistsError, "out: .* exists"),
        (tmp_path / "file" / "K.npy", OSError, "out: the folder .* cannot be written"),
        (zarr.create_array(zarr.storage.MemoryStore(), shape=(N, 3), dtype="f8"), ValueError, "shape"),
    ]  # fmt: skip
    for out, error, message in cases:
        with pytest.raises(error, match=message):
            compute(source, out)
    with pytest.raises(ValueError, match=r"dtype float32, got .* float64"):
        compute(float32, wide)
    with pytest.raises(ValueError, match="reading only"):
        compute(source, zarr.open_array(compute(source, tmp_path / "K.zarr"), mode="r"))
    assert not list(tmp_path.glob("*journal"))


@pytest.mark.parametrize(("suffix", "module"), [("h5", "h5py"), ("zarr", "zarr")])
def test_a_missing_library_is_named(tmp_path, source, monkeypatch, suffix, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs {module}: pip install 'fastntk\["):
        compute(source, tmp_path / f"K.{suffix}")
    assert names(tmp_path) == []


def test_too_little_memory_names_the_way_out(source, monkeypatch):
    monkeypatch.setattr("fastntk.base.memory.available_bytes", lambda: 1000)
    with pytest.raises(MemoryLimitError, match=r"50 x 50 Gram matrix needs .* out= a file name"):
        compute(source)


def test_resident_memory_does_not_grow_with_a_mapped_matrix(tmp_path, rng):
    source = limit_source(rng.standard_normal((6000, 3)), dtype="float32")
    resident = psutil.Process().memory_info
    out = np.memmap(tmp_path / "K.dat", "f4", "w+", shape=source.shape)
    small = limit_source(np.eye(3), dtype="float32")
    compute(small)
    before, after = resident().rss, []
    fill_target(source, target_of(out, source), lambda done, total: after.append(resident().rss), 1000)
    assert out.nbytes == 144_000_000
    assert max(after) - before < 60_000_000


def test_progress(source, tmp_path, capsys):
    calls = []
    for out in (None, tmp_path / "K.npy"):
        compute(source, out, progress=lambda *call: calls.append(call))
        compute(source, tmp_path / "L.npy", progress=True)
    assert calls == [(N * N, N * N), (N * (N + 1) // 2,) * 2]
    assert capsys.readouterr() == ("", "")  # no terminal


def test_the_bar_goes_on_where_the_computation_does(tmp_path, source, monkeypatch):
    made = []

    class Bar:
        def __init__(self, **look):
            made.append(look)
            self.n = look["initial"]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            assert self.n == made[-1]["total"]

        def update(self, step):
            assert step > 0
            self.n += step

    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, 6), tmp_path / "K.npy")
    monkeypatch.setattr("tqdm.tqdm", Bar)
    blockwise(source, tmp_path / "K.npy", progress=True)
    assert made[0]["disable"] is None  # silent unless stderr is a terminal
    assert (
        made[0]["initial"] == 48 * 49 // 2
    )  # six blocks: the first three rows of blocks; they count for no speed
