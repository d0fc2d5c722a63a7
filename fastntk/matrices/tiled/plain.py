"""Rows of plain numbers from a fixed place of a file onwards, which several processes may write at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastntk.matrices.tiled.shared import SharedTarget


class PlainRows(SharedTarget):
    """A matrix in a file that has its full size already; what is pickled is the place, not the open file."""

    def __init__(self, path: Path, offset: int, shape: tuple[int, int], dtype: np.dtype) -> None:
        self._path, self._offset, self._shape, self._dtype = path, offset, shape, dtype
        self._file: BinaryIO | None = None

    def __reduce__(self) -> tuple[type, tuple[Path, int, tuple[int, int], np.dtype]]:
        return type(self), (self._path, self._offset, self._shape, self._dtype)

    def open(self) -> None:
        """Open the file."""
        self._file = open(self._path, "r+b", buffering=0)  # noqa: SIM115
        if os.fstat(self._file.fileno()).st_size < self._offset + self._shape[0] * self._row:
            self.close()
            raise FileNotFoundError(errno.ENOENT, "a file of another size is there", str(self._path))

    @property
    def _row(self) -> int:
        """Bytes of a row."""
        return self._shape[1] * self._dtype.itemsize

    def _seek(self, row: int, column: int) -> BinaryIO:
        assert self._file is not None
        self._file.seek(self._offset + row * self._row + column * self._dtype.itemsize)
        return self._file

    def write(self, rows: slice, columns: slice, block: np.ndarray) -> None:
        """Write row by row; a block that is transposed is turned in strips."""
        for first in range(0, len(block), 256):
            strip = np.ascontiguousarray(block[first : first + 256])
            for i, row in enumerate(strip, start=rows.start + first):
                file, rest = self._seek(i, columns.start), row.view(np.uint8).data
                while len(rest):
                    rest = rest[file.write(rest) :]

    def read(self, row: int, columns: slice) -> np.ndarray:
        """Read a piece of a row."""
        size = (columns.stop - columns.start) * self._dtype.itemsize
        return np.frombuffer(self._seek(row, columns.start).read(size), self._dtype)

    def flush(self) -> None:
        """Wait for the disk."""
        assert self._file is not None
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
