"""Buffers aligned to cache lines, the pages of mapped files, and the check that a computation fits in memory."""

import math
import mmap

import numpy as np
import numpy.typing as npt
import psutil

from fastntk.base.errors import MemoryLimitError

_LINE = 64  # bytes of a cache line and of the widest vector: a load across two lines costs twice


def aligned_zeros(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """Zeros whose first element starts a cache line; pages stay untouched until they are written."""
    shape = (shape,) if isinstance(shape, int) else shape
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = np.zeros(size + _LINE, dtype=np.uint8)
    start = -raw.ctypes.data % _LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def drop_pages(array: np.ndarray) -> None:
    """Let go of the pages of a mapped file, or resident memory grows with all that is looked at; no data are lost."""
    mapping: object = array
    while isinstance(mapping, np.ndarray):
        mapping = mapping.base
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def available_bytes() -> int:
    """Memory that can be taken without swapping."""
    return int(psutil.virtual_memory().available)


def require_memory(needed: int, what: str) -> None:
    """Raise `MemoryLimitError` naming both sizes if ``needed`` bytes are not available for ``what``."""
    available = available_bytes()
    if needed > available:
        raise MemoryLimitError(
            f"{what} needs {needed / 2**30:.3g} GiB of memory, but only {available / 2**30:.3g} GiB are available"
        )
