"""What a target is to another process: a place that it can open and write a block to."""

from __future__ import annotations

import abc

import numpy as np


class SharedTarget(abc.ABC):
    """Where another process, perhaps of another machine with the same storage, writes its blocks; it can be pickled."""

    @abc.abstractmethod
    def open(self) -> None:
        """Make it ready for writing; OSError if the storage is not there."""

    @abc.abstractmethod
    def write(self, rows: slice, columns: slice, block: np.ndarray) -> None:
        """Put a block, of any memory order, in its place."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Return when everything written is on the disk."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of what `open` took."""
