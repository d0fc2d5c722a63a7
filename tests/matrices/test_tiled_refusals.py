"""Matrices written block by block: full disks, places that do not fit, what is missing."""

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import zarr

from fastntk.base.errors import MemoryLimitError
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled import compute, targets
from fastntk.matrices.tiled.whole import fill_target, target_of
from tests.matrices.tiled_targets import BLOCKS, SIDE, TARGETS, N, Stopping, blockwise, finish, memmap, names


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
    finish(source, out, BLOCKS - 3)


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
