"""Arrays of HDF5 and Zarr that the caller opened."""

from __future__ import annotations

import errno
import importlib
import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from fastntk.matrices.tiled.shared import SharedTarget
from fastntk.matrices.tiled.targets import Target, array_chunks, check_matrix, require_disk, reserve


def require_module(module: str, extra: str) -> Any:
    """Import an optional library, or say what to install."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"out: this needs {module}: pip install 'fastntk[{extra}]'") from None


class HDF5Dataset(Target):
    """An `h5py.Dataset`.

    Storage is allocated before the first block, so that later writes change no structure of the file and a kill leaves
    it readable. Compressed chunks have no size before they are written; there only the state at the end of the last
    finished block is safe.
    """

    def __init__(self, out: Any, shape: tuple[int, int], dtype: np.dtype) -> None:
        if not out:
            raise ValueError("out must be a dataset of an open file, but its file is closed")
        check_matrix(out, shape, dtype)
        if out.file.mode == "r":
            raise ValueError("out must be writeable, but its file is open for reading only")
        self._out = out
        path = Path(out.file.filename)
        self.name = f"{path}:{out.name}"
        self.identity = {"dataset": out.name}
        self.chunks = array_chunks(out)
        self._path = path if path.exists() and out.file.driver != "core" else None
        if self._path is not None:
            self.journal = path.with_name(f"{path.name}.{out.name.strip('/').replace('/', '.')}.journal")

    def open(self, resume: bool) -> None:
        """Allocate all storage: touch every chunk that is not there yet, then fill the holes of the file."""
        out = self._out
        compressed = out.chunks is not None and out.id.get_create_plist().get_nfilters() > 0
        if compressed or resume:
            return
        if out.chunks is None:
            out[0, 0] = 0
        elif out.id.get_num_chunks() < np.prod(
            [-(-n // c) for n, c in zip(out.shape, out.chunks, strict=True)]
        ):
            for rows, columns in out.iter_chunks():
                out[rows.start, columns.start] = 0
        out.file.flush()
        if self._path is not None:
            reserve(self._path, 0, self._path.stat().st_size)

    def write(self, rows: slice, columns: slice, block: np.ndarray) -> None:
        """Write a block."""
        self._out[rows, columns] = block

    def read(self, row: int, columns: slice) -> np.ndarray:
        """Read a piece of a row."""
        return np.asarray(self._out[row, columns])

    def flush(self) -> None:
        """Hand everything to the system, then wait for the disk."""
        self._out.file.flush()
        if self._path is not None:
            _sync(self._path)

    def finish(self) -> Any:
        """The caller's own dataset."""
        return self._out


class ZarrTarget(Target):
    """A `zarr.Array`: every block covers whole chunks, each of them a file that the library replaces atomically."""

    def __init__(self, out: Any, shape: tuple[int, int], dtype: np.dtype) -> None:
        check_matrix(out, shape, dtype)
        if out.read_only:
            raise ValueError("out must be writeable, but its store is open for reading only")
        self.array = out
        self.name = str(out.store_path)
        self.identity = {}
        self.chunks = array_chunks(out)
        if hasattr(out.store, "root"):
            folder = Path(out.store.root) / out.path
            self.journal = folder.with_name(f"{folder.name}.journal")

    def open(self, resume: bool) -> None:
        """Look at the free space: a folder of chunks cannot reserve it."""
        if self.journal is not None and not self.array.compressors and not resume:
            require_disk(self.journal.parent, self.array.nbytes, self.name)

    def write(self, rows: slice, columns: slice, block: np.ndarray) -> None:
        """Write a block and wait for its chunks to be on the disk."""
        write_chunks(self.array, rows, columns, block)

    def read(self, row: int, columns: slice) -> np.ndarray:
        """Read a piece of a row."""
        return np.asarray(self.array[row, columns])

    def flush(self) -> None:
        """Nothing is left to do after `write`."""

    def shared(self) -> SharedTarget:
        """The array in the same folder."""
        if self.journal is None:
            return super().shared()
        return SharedZarr((Path(self.array.store.root) / self.array.path).absolute())

    def finish(self) -> Any:
        """The caller's own array."""
        return self.array


class SharedZarr(SharedTarget):
    """A Zarr array by its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        """Open the array."""
        if not (self._folder / "zarr.json").is_file() and not (self._folder / ".zarray").is_file():
            raise FileNotFoundError(errno.ENOENT, "no Zarr array is there", str(self._folder))
        self._array = require_module("zarr", "zarr").open_array(self._folder, mode="r+")

    def write(self, rows: slice, columns: slice, block: np.ndarray) -> None:
        """Write a block and wait for its chunks to be on the disk."""
        write_chunks(self._array, rows, columns, block)

    def flush(self) -> None:
        """Nothing is left to do after `write`."""

    def close(self) -> None:
        """Nothing is held."""


def write_chunks(array: Any, rows: slice, columns: slice, block: np.ndarray) -> None:
    """Write a block to a Zarr array and, if that is in a folder, wait for its chunks to be on the disk."""
    array[rows, columns] = np.ascontiguousarray(block)
    if not hasattr(array.store, "root"):
        return
    folder = Path(array.store.root) / array.path
    ranges = (
        range(part.start // edge, -(-part.stop // edge))
        for part, edge in zip((rows, columns), array_chunks(array), strict=True)
    )
    for place in product(*ranges):
        chunk = folder / array.metadata.encode_chunk_key(place)
        if chunk.exists():  # a chunk of nothing but the fill value is not stored
            _sync(chunk)


def _sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
