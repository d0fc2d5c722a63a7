"""What has been written of a matrix so far: a text file beside it, appended to after every block.

The first line describes the computation, every further line is a finished block: its place and a check of its data.
A line counts once its newline is there. The file is locked while it is open, so that two writers cannot meet, and
the lock ends with the process however that ends.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # without it two writers of one target are not noticed
    fcntl = None  # type: ignore[assignment]

Place = tuple[int, int]

_FORMAT = 1
_NOTE = "the matrix beside this file is incomplete: repeat the computation to finish it, or delete both"


class Journal:
    """An open, locked journal; without a path one in memory, for targets that no other process can see."""

    def __init__(self, path: Path | None, name: str, partial: Path | None = None) -> None:
        self.path = path
        self._partial = partial
        self._name = name
        self._file: BinaryIO = io.BytesIO() if path is None else self._locked(path)

    def _locked(self, path: Path) -> BinaryIO:
        while True:
            file = open(path, "a+b", buffering=0)  # noqa: SIM115
            try:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
            except BlockingIOError as error:
                file.close()
                raise BlockingIOError(
                    error.errno, f"out: {self._name!r} is being written by another computation"
                ) from None
            except BaseException:
                file.close()
                raise
            file.close()  # another process finished and removed it between the opening and the lock

    def finished(self, header: dict[str, Any]) -> dict[Place, int] | None:
        """Places and checks of the finished blocks; None if nothing was begun; another computation is an error."""
        self._file.seek(0)
        lines = self._file.read().split(b"\n")[:-1]  # what follows the last newline was torn off
        if not lines:
            return None
        try:
            found = json.loads(lines[0])
        except ValueError:
            found = {}
        wanted = {"format": _FORMAT, **header}
        differing = [key for key in wanted if found.get(key) != wanted[key]]
        if differing:
            stored = ", ".join(f"{key} {_brief(found.get(key))}" for key in differing)
            asked = ", ".join(f"{key} {_brief(wanted[key])}" for key in differing)
            files = " and ".join(repr(str(path)) for path in (self._partial, self.path) if path is not None)
            raise ValueError(
                f"out: {self._name!r} holds the beginning of another matrix ({stored}; this one has {asked}): the call "
                f"that began it goes on with it, another out keeps it, and removing {files} starts anew"
            )
        done: dict[Place, int] = {}
        whole = len(lines[0]) + 1
        for line in lines[1:]:
            try:
                row, column, check = (int(word) for word in line.split())
            except ValueError:
                break
            done[row, column] = check
            whole += len(line) + 1
        self._file.truncate(whole)
        return done

    def begin(self, header: dict[str, Any]) -> None:
        """Start anew."""
        self._file.truncate(0)
        self._append(json.dumps({"note": _NOTE, "format": _FORMAT, **header}))

    def add(self, place: Place, check: int) -> None:
        """Note a block whose data are on the disk."""
        self._append(f"{place[0]} {place[1]} {check}")

    def _append(self, line: str) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(line.encode() + b"\n")
        if self.path is not None:
            os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Delete the file: the matrix is whole, or was never begun."""
        if self.path is not None:
            if os.name != "posix":  # an open file cannot be deleted there
                self._file.close()
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up the lock."""
        self._file.close()


def _brief(value: Any) -> str:
    """A setting for a message; digests lose their tail."""
    if value is None:
        return "unknown"
    return value[:12] if isinstance(value, str) and len(value) > 16 else repr(value)
