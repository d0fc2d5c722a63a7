"""Compiled kernels on disk: never old code, never damaged code, and no error where there is no room.

They are kept where Numba would keep them, in ``NUMBA_CACHE_DIR`` or beside the sources.  Numba looks at the file of a
kernel only, although helpers and constants come from others; it numbers its files and notes the numbers in an index,
which processes that fill it together can confuse; and a file that was cut off, or a full disk, ends the work.  Here

- the name of a file is a hash of all that its code depends on: there is no index, and processes that write the same
  name at the same time write the same code, each by one rename;
- a file begins with a hash of the rest: what was damaged is compiled and written again;
- what cannot be written is not kept, which is said once.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import re
import uuid
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_HASH = hashlib.sha256().digest_size


def secure(dispatcher: Any, *sources: str) -> bool:
    """Have a kernel's code kept in this way; False where the compiler is too new for it.

    ``sources`` are the parts of the package from which it may take helpers and constants.
    """
    cache = getattr(dispatcher, "_cache", None)
    known = all(hasattr(cache, name) for name in ("_cache_file", "_impl", "save_overload"))
    if not (known and hasattr(cache._cache_file, "_dump")):  # type: ignore[union-attr]
        return False
    folder, name = Path(cache.cache_path), re.sub(r"-\d+(?=\.py)", "", cache._impl.filename_base)  # type: ignore[union-attr]
    cache._cache_file = _Files(folder, name, state_of_sources(*sources), cache._cache_file._dump)  # type: ignore[union-attr]
    cache.save_overload = _where_there_is_room(cache.save_overload, folder)  # type: ignore[union-attr]
    return True


@functools.cache
def state_of_sources(*parts: str) -> str:
    """Hash of all files of some parts of the package."""
    folder, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted({path for part in parts for path in folder.glob(part)}):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    """Versions of the packages that make the code, and of those it calls."""
    found = {}
    for package in ("llvmlite", "numba", "numba-cuda", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


class _Files:
    """The files of one kernel, one for each signature and processor; the compiler calls `load`, `save` and `flush`."""

    def __init__(self, folder: Path, name: str, state: str, dump: Callable[[Any], bytes]) -> None:
        self._folder, self._dump = folder, dump
        self._kernel, self._state = f"{name}-", f"{name}-{state[:16]}-"

    def _path(self, key: Any) -> Path:
        rest = hashlib.sha256(repr((key, _versions())).encode()).hexdigest()
        return self._folder / f"{self._state}{rest[:32]}.nbc"

    def load(self, key: Any) -> Any:
        """What was saved under this key, or None."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        check, body = content[:_HASH], content[_HASH:]
        if hashlib.sha256(body).digest() != check:
            _warn(f"a compiled kernel in {self._folder} was damaged; it is compiled again")
            return None
        found, data = pickle.loads(body)
        return data if found == key else None

    def save(self, key: Any, data: Any) -> None:
        """Write, in one step for all who read, and remove what other sources gave."""
        body, path = self._dump((key, data)), self._path(key)
        temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
        try:
            temporary.write_bytes(hashlib.sha256(body).digest() + body)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        self._remove(lambda other: not other.startswith(self._state))

    def flush(self) -> None:
        """Remove all."""
        self._remove(lambda other: True)

    def _remove(self, wanted: Callable[[str], bool]) -> None:
        for path in self._folder.glob(f"{self._kernel}*"):
            if wanted(path.name):
                with contextlib.suppress(OSError):
                    path.unlink()


def _where_there_is_room(save: Callable[..., None], folder: Path) -> Callable[..., None]:
    """A function that saves, or says why nothing is kept."""

    def saved(*arguments: Any) -> None:
        try:
            save(*arguments)
        except OSError as error:
            unkept(f"in {folder}: {error.strerror or error}")

    return saved


def unkept(reason: str) -> None:
    """Say that kernels are compiled again in every process."""
    _warn(f"compiled kernels cannot be kept {reason}; they work, but each process compiles them anew")


@functools.cache
def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)
