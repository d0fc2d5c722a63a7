"""Where the blocks of a matrix go: what all targets have in common, and memory-mapped arrays."""

from __future__ import annotations

import abc
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from fastntk.base.memory import drop_pages
from fastntk.matrices.tiled.plain import PlainRows
from fastntk.matrices.tiled.shared import SharedTarget

_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


class Target(abc.ABC):
    """A matrix on a disk (or elsewhere) that is written a block at a time.

    Attributes
    ----------
    name : str
        For messages.
    journal : Path or None
        Where to note the finished blocks; None where nothing outlives the process.
    partial : Path or None
        Where the data are until the matrix is whole; None where they are written in their place.
    chunks : tuple of int
        Shape of the pieces in which the data are stored.
    identity : dict
        What of the file is written, when it may hold more than this matrix.
    """

    name: str
    journal: Path | None = None
    partial: Path | None = None
    chunks: tuple[int, int] = (1, 1)
    identity: dict[str, Any]

    def begun(self) -> bool:
        """Whether there is something that an earlier computation, of whatever matrix, may have begun."""
        return self.partial is None or self.partial.exists()

    def fits(self) -> bool:
        """Whether what was begun has the form of this matrix."""
        return True

    @abc.abstractmethod
    def open(self, resume: bool) -> None:
        """Make it ready for writing, with the space for all of it reserved."""

    @abc.abstractmethod
    def write(self, rows: slice, columns: slice, block: np.ndarray) -> None:
        """Put a block, of any memory order, in its place."""

    @abc.abstractmethod
    def read(self, row: int, columns: slice) -> np.ndarray:
        """Read back a piece of one row."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Return when everything written is on the disk, and hold none of it in memory."""

    @abc.abstractmethod
    def finish(self) -> Any:
        """Complete it and return what the caller gets."""

    def shared(self) -> SharedTarget:
        """Where other processes write the same matrix, once it is open.

        Raises
        ------
        ValueError
            If they cannot.
        """
        raise ValueError(
            f"out: with client it must be a place on storage that all workers share (a file name ending in .npy, .h5 "
            f"or .zarr, a memory map of a file, or a Zarr array in a folder), got {self.name!r}"
        )

    def close(self) -> None:  # noqa: B027
        """Let go of what `open` took; also after a failure."""

    def discard(self) -> None:  # noqa: B027
        """Remove what `open` made when it could not be completed."""


def reserve(path: str | os.PathLike[str], offset: int, size: int) -> None:
    """Take the space of a part of a file now: later a full disk would be a failing write or, mapped, a signal."""
    needed = f"out: no room for the {size / 2**30:.3g} GiB of the matrix"
    try:
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), offset, size)
    except (OSError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno not in _UNSUPPORTED:
            raise OSError(error.errno, f"{needed} ({error.strerror})", os.fspath(path)) from None
        require_disk(Path(path).parent, offset + size - allocated(path), os.fspath(path))


def require_disk(folder: Path, size: int, name: str) -> None:
    """Raise if `folder` has less than `size` bytes left."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise OSError(
            errno.ENOSPC,
            f"out: no room for the {size / 2**30:.3g} GiB of the matrix ({free / 2**30:.3g} GiB are free)",
            name,
        )


def allocated(path: str | os.PathLike[str]) -> int:
    """Bytes that a file takes on the disk."""
    status = os.stat(path)
    return int(getattr(status, "st_blocks", 0)) * 512


def array_chunks(out: Any) -> tuple[int, int]:
    """Shape of the pieces in which an array stores its entries, (1, 1) where it stores rows of them."""
    found: tuple[int, int] = getattr(out, "shards", None) or getattr(out, "chunks", None) or (1, 1)
    return found


def check_matrix(out: Any, shape: tuple[int, int], dtype: np.dtype) -> None:
    """Raise unless `out` can hold the matrix."""
    if tuple(out.shape) != shape or out.dtype != dtype:
        raise ValueError(
            f"out must have shape {shape} and dtype {dtype}, got shape {tuple(out.shape)} and dtype {out.dtype}"
        )


def check_array(out: np.ndarray, shape: tuple[int, int], dtype: np.dtype) -> None:
    """Raise unless `out` is an array that can be filled with the matrix."""
    check_matrix(out, shape, dtype)
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be C-contiguous and writeable")


class MappedTarget(Target):
    """A `numpy.memmap` that the caller opened."""

    def __init__(self, out: np.memmap) -> None:
        self._out, self._plain = out, out.view(np.ndarray)
        root = out
        while isinstance(root.base, np.memmap):
            root = root.base
        self._offset = int(root.offset) + out.ctypes.data - root.ctypes.data
        self._path = None if out.filename is None else Path(out.filename)
        self.name = "memmap" if self._path is None else str(self._path)
        self.identity = {"offset": self._offset}
        if self._path is not None and self._path.exists() and out.mode != "c":
            self.journal = self._path.with_name(f"{self._path.name}.journal")

    def open(self, resume: bool) -> None:
        """Reserve the file's space."""
        if self.journal is not None and self._path is not None:
            reserve(self._path, self._offset, self._out.nbytes)

    def write(self, rows: slice, columns: slice, block: np.ndarray) -> None:
        """Write into the mapping; written pages are dropped, or resident memory would grow with the matrix."""
        for first in range(0, len(block), 512):
            strip = block[first : first + 512]
            top = rows.start + first
            self._plain[top : top + len(strip), columns] = strip
            if self.journal is not None:  # else it is private: dropping it would lose what was written
                drop_pages(self._plain)

    def read(self, row: int, columns: slice) -> np.ndarray:
        """Read from the mapping."""
        return self._plain[row, columns]

    def flush(self) -> None:
        """Wait for the disk."""
        if self.journal is not None:
            self._out.flush()

    def shared(self) -> SharedTarget:
        """The same part of the file."""
        if self.journal is None or self._path is None:
            return super().shared()
        return PlainRows(self._path.absolute(), self._offset, self._plain.shape, self._plain.dtype)

    def finish(self) -> np.memmap:
        """The caller's own array."""
        return self._out
