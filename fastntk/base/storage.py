"""Files that are either whole or absent: the one place where fastntk writes results.

Every file is written beside its destination, flushed to the disk and then renamed over it. A full disk,
Ctrl-C or a kill in the middle leaves the old file (or none), never half of a new one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_write", "ensure_folder", "ensure_parent", "remove_leftovers", "sync_folder", "user_path"]

_SUFFIX = ".fastntk-part"


def _host() -> str:
    """Short tag of this machine, so that a shared folder tells whose unfinished file it holds."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def user_path(path: str | os.PathLike[str]) -> Path:
    """`path` with a leading ~ replaced by the home that it stands for.

    Examples
    --------
    >>> user_path("~/K.npy") == Path.home() / "K.npy", user_path("K.npy~").name
    (True, 'K.npy~')
    """
    return Path(os.path.expanduser(path))


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `path` for binary writing so that it appears only when it is complete.

    Parameters
    ----------
    path : str or path-like
        The destination; an existing file is replaced, a symbolic link is followed.

    Yields
    ------
    file : binary file object
        Positioned at the start of an empty temporary file in the destination's folder.

    Raises
    ------
    OSError
        When the folder cannot be written or the disk is full; nothing is left behind.

    Notes
    -----
    The data reach the disk (fsync) before the rename, and the rename is atomic on POSIX and on Windows.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "answer.txt") as file:
    ...     _ = file.write(b"42")
    >>> [p.name for p in folder.iterdir()]
    ['answer.txt']
    """
    target = Path(os.path.realpath(user_path(path)))
    if target.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder, a file name is expected")
    part = target.with_name(f".{target.name}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}{_SUFFIX}")
    # os.open instead of tempfile: the file gets the permissions of the user's umask, not 0600.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(part, flags, 0o666)
    except OSError as error:
        raise type(error)(error.errno, f"cannot write {str(path)!r}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make the rename itself durable where the system lets a folder be fsynced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def ensure_folder(path: str | os.PathLike[str], name: str = "out") -> Path:
    """Create the folder `path` if needed and prove that files can be written there, before the work starts.

    Parameters
    ----------
    path : str or path-like
    name : str
        What to call the argument in an error message.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        Naming the argument, the folder and the reason. Folders made on the way are removed again.

    Examples
    --------
    >>> import tempfile
    >>> ensure_folder(Path(tempfile.mkdtemp()) / "a" / "b").name
    'b'
    """
    folder = user_path(path)
    made: list[Path] = []
    try:
        for parent in [*reversed(folder.parents), folder]:
            if not parent.exists():
                parent.mkdir(exist_ok=True)
                made.append(parent)
        probe = folder / f".writable-{secrets.token_hex(4)}"
        with atomic_write(probe) as file:
            file.write(b"fastntk")
        probe.unlink()
    except OSError as error:
        for parent in reversed(made):
            with suppress(OSError):
                parent.rmdir()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(
            error.errno, f"{name}: the folder {str(folder)!r} cannot be written ({reason})"
        ) from None
    return folder


def ensure_parent(path: str | os.PathLike[str], name: str = "out") -> Path:
    """Check that a file can be created at `path` before the work starts; its folder is made if needed."""
    target = user_path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{name}: {str(path)!r} is a folder, a file name is expected")
    ensure_folder(target.parent, name)
    return target


def remove_leftovers(folder: Path) -> None:
    """Delete unfinished files that killed processes of this machine left in `folder`."""
    if os.name != "posix":  # os.kill(pid, 0) is not a harmless question elsewhere
        return
    for part in folder.glob(f".*.{_host()}.*{_SUFFIX}"):
        pid = part.name.split(".")[-3]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            part.unlink(missing_ok=True)
        except (ValueError, PermissionError):
            continue
