"""Files that appear only when the whole matrix is in them: .npy, .h5 and .zarr by name.

Until then the data lie in ``<name>.partial``. The one dataset of an HDF5 file is laid out, its place
known and the library closed before the first block: a kill can cut short plain data, never the file's structure.
"""

from __future__ import annotations

import io
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from fastntk.base.storage import ensure_folder, sync_folder, user_path
from fastntk.matrices.tiled.blocks import UNIT
from fastntk.matrices.tiled.datasets import SharedZarr, ZarrTarget, require_module
from fastntk.matrices.tiled.plain import PlainRows
from fastntk.matrices.tiled.targets import Target, require_disk, reserve

DATASET = "gram"
"""Name of the matrix in an HDF5 file that is given by its path."""

HDF5 = (".h5", ".hdf5")
SUFFIXES = (".npy", *HDF5, ".zarr")


def checked_path(out: str | os.PathLike[str]) -> Path:
    """`out` as a path whose ending names a format."""
    path = user_path(out)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"out must be a file name ending in {', '.join(SUFFIXES)}, got {str(path)!r}")
    return path


def partial_path(path: Path) -> Path:
    """Where the data of a file lie until it is whole."""
    return path.with_name(f"{path.name}.partial")


def file_chunks(out: str | os.PathLike[str], shape: tuple[int, int], dtype: np.dtype) -> tuple[int, int]:
    """Shape of the pieces in which the file of that name will store a matrix, (1, 1) where it stores rows."""
    unit = UNIT[dtype.itemsize]
    return (
        (min(unit, shape[0]), min(unit, shape[1])) if checked_path(out).suffix.lower() == ".zarr" else (1, 1)
    )


def file_target(out: str | os.PathLike[str], shape: tuple[int, int], dtype: np.dtype) -> Target:
    """The target that a file's name asks for."""
    path = checked_path(out)
    suffix = path.suffix.lower()
    if suffix == ".npy" and path.is_dir():
        raise IsADirectoryError(f"out: {str(path)!r} is a folder, a file name is expected")
    if suffix != ".npy" and path.exists():
        raise FileExistsError(
            f"out: {str(path)!r} exists and may hold more than a matrix: remove it, choose another name, "
            "or open it and pass one of its arrays"
        )
    kind = NpyTarget if suffix == ".npy" else ZarrFolder if suffix == ".zarr" else HDF5Target
    ensure_folder(path.parent, "out")
    return kind(path, shape, dtype)


class FileTarget(Target):
    """Rows of plain numbers from a fixed place of a file onwards."""

    partial: Path

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype) -> None:
        self.path, self.name, self.identity = path, str(path), {}
        self.journal = path.with_name(f"{path.name}.journal")
        self.partial = partial_path(path)
        self._shape, self._dtype = shape, dtype
        self._size = shape[0] * shape[1] * dtype.itemsize
        self._rows: PlainRows | None = None

    def create(self) -> int:
        """Write what comes before the data to the partial file; returns where the data start."""
        raise NotImplementedError

    def locate(self) -> int | None:
        """Where the data start in an existing partial file; None if it is no such file."""
        raise NotImplementedError

    def fits(self) -> bool:
        """Whether the partial file has the header and the size of this matrix."""
        found = self.locate()
        return found is not None and self.partial.stat().st_size >= found + self._size

    def open(self, resume: bool) -> None:
        """Open or create the partial file, of full size."""
        offset = self.locate() if resume else self.create()
        assert offset is not None  # a resumed file passed `fits`
        reserve(self.partial, offset, self._size)
        os.truncate(self.partial, offset + self._size)
        self._rows = PlainRows(self.partial, offset, self._shape, self._dtype)
        self._rows.open()

    def _opened(self) -> PlainRows:
        assert self._rows is not None
        return self._rows

    def write(self, rows: slice, columns: slice, block: np.ndarray) -> None:
        """Write row by row."""
        self._opened().write(rows, columns, block)

    def read(self, row: int, columns: slice) -> np.ndarray:
        """Read a piece of a row."""
        return self._opened().read(row, columns)

    def flush(self) -> None:
        """Wait for the disk."""
        self._opened().flush()

    def shared(self) -> PlainRows:
        """The same rows of the same file."""
        return self._opened()

    def finish(self) -> Any:
        """Give the file its name."""
        self.flush()
        self.close()
        os.replace(self.partial, self.path)
        sync_folder(self.path.parent)
        return self.path

    def close(self) -> None:
        """Close the file."""
        if self._rows is not None:
            self._rows.close()

    def discard(self) -> None:
        """Remove the partial file."""
        self.close()
        with suppress(OSError):
            self.partial.unlink()


class NpyTarget(FileTarget):
    """A .npy file; the result is mapped for reading."""

    def _header(self) -> bytes:
        header = io.BytesIO()
        form = {"descr": self._dtype.str, "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(header, form)
        return header.getvalue()

    def create(self) -> int:
        """Write the header."""
        return self.partial.write_bytes(self._header())

    def locate(self) -> int | None:
        """Compare the header."""
        header = self._header()
        with open(self.partial, "rb") as file:
            return len(header) if file.read(len(header)) == header else None

    def finish(self) -> np.ndarray:
        """The whole matrix, mapped for reading."""
        return np.load(super().finish(), mmap_mode="r")


class HDF5Target(FileTarget):
    """An HDF5 file with one contiguous dataset, `DATASET`."""

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype) -> None:
        require_module("h5py", "hdf5")
        super().__init__(path, shape, dtype)

    def create(self) -> int:
        """Let the library lay out the file."""
        h5py = require_module("h5py", "hdf5")
        form = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        form.set_layout(h5py.h5d.CONTIGUOUS)
        form.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        form.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        with h5py.File(self.partial, "w") as file:
            kind, space = h5py.h5t.py_create(self._dtype), h5py.h5s.create_simple(self._shape)
            return int(h5py.h5d.create(file.id, DATASET.encode(), kind, space, form).get_offset())

    def locate(self) -> int | None:
        """Ask the library for the dataset."""
        h5py = require_module("h5py", "hdf5")
        try:
            with h5py.File(self.partial, "r") as file:
                found = file[DATASET]
                same = found.shape == self._shape and found.dtype == self._dtype
                return found.id.get_offset() if same else None
        except (OSError, KeyError):
            return None


class ZarrFolder(ZarrTarget):
    """A Zarr array that is given by its path."""

    partial: Path

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype) -> None:
        require_module("zarr", "zarr")
        self.path, self.name, self.identity = path, str(path), {}
        self.journal = path.with_name(f"{path.name}.journal")
        self.partial = partial_path(path)
        self.chunks = file_chunks(path, shape, dtype)
        self._shape, self._dtype = shape, dtype

    def fits(self) -> bool:
        """Whether the folder holds an array; the journal knows its form."""
        return (self.partial / "zarr.json").is_file()

    def open(self, resume: bool) -> None:
        """Open or create the array in the partial folder."""
        zarr = require_module("zarr", "zarr")
        if resume:
            self.array = zarr.open_array(self.partial, mode="r+")
            return
        self.discard()
        size = self._shape[0] * self._shape[1] * self._dtype.itemsize
        require_disk(self.path.parent, size, self.name)
        # Mantissas of kernel values are noise to a compressor.
        self.array = zarr.create_array(
            self.partial, shape=self._shape, dtype=self._dtype, chunks=self.chunks, compressors=None, fill_value=0
        )  # fmt: skip

    def shared(self) -> SharedZarr:
        """The array in the partial folder."""
        return SharedZarr(self.partial)

    def finish(self) -> Path:
        """Give the folder its name."""
        os.replace(self.partial, self.path)
        sync_folder(self.path.parent)
        return self.path

    def discard(self) -> None:
        """Remove the partial folder."""
        shutil.rmtree(self.partial, ignore_errors=True)
