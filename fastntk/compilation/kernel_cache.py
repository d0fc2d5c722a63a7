"""Compiled CUDA kernels on disk: never old code, never that of another kernel, and no error where there is no room.

They are kept where the CPU's are, in ``NUMBA_CACHE_DIR`` or beside the sources: compiling them all takes a quarter of a
minute, loading them a fraction of a second.  numba-cuda does the keeping; what `secure` adds:

- it looks at the file of a kernel to see whether that has changed, but device functions and constants come from others:
  here a kernel is compiled again after a change in any file of `fastntk.kernels`;
- it numbers the files with code and notes the numbers in an index: two processes that do so at the same time could
  exchange the code of two kernels, so here one of them waits;
- a file that cannot be written, on a full disk, would end the work: here the kernel is not kept.
"""

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # without it processes that fill an empty cache together do not wait for each other
    fcntl = None  # type: ignore[assignment]

_LOCK = "fastntk-cuda.lock"


def secure(dispatcher: Any) -> bool:
    """Make the cache of a kernel safe; False where a later numba-cuda keeps it in another way."""
    cache = getattr(dispatcher, "_cache", None)
    index = getattr(cache, "_cache_file", None)
    if not (hasattr(index, "_source_stamp") and hasattr(cache, "save_overload")):
        return False
    index._source_stamp = _state_of_sources()  # type: ignore[union-attr]
    cache.save_overload = _carefully(cache.save_overload, Path(cache.cache_path))  # type: ignore[union-attr]
    return True


@functools.cache
def _state_of_sources() -> str:
    """Hash of all that compiled kernels may depend on."""
    folder, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(
        path for part in ("base", "compilation", "kernels") for path in folder.glob(f"{part}/**/*.py")
    ):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _carefully(save: Callable[..., None], folder: Path) -> Callable[..., None]:
    """Save one process at a time, and only if there is room."""

    def saved(*arguments: Any) -> None:
        with contextlib.suppress(OSError), _locked(folder / _LOCK):
            save(*arguments)

    return saved


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "ab") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # ends with the file, however that ends
        yield
