"""Places for tiled matrices, and computations that begin and go on."""

import os

import h5py
import numpy as np
import pytest
import zarr

from fastntk.matrices.tiled import compute, files
from fastntk.matrices.tiled.whole import fill_target, target_of

N, SIDE = 50, 16
BLOCKS = 10  # on and below the diagonal of 4 x 4


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


def begin(source, out, blocks):
    """Compute so many blocks, then stop."""
    with pytest.raises(KeyboardInterrupt):
        blockwise(Stopping(source, blocks), out)


def finish(source, out, blocks):
    """Compute what is left, which must be so many blocks, and compare the whole."""
    rest = Stopping(source, BLOCKS)
    np.testing.assert_array_equal(read(blockwise(rest, out)), compute(source))
    assert rest.filled == blocks
