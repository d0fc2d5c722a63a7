"""Argument checks for arrays on a GPU: the same rules and words as `fastntk.base.checks`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.device.arrays import empty, upload, view
from fastntk.kernels.cuda.conversion import convert


def array(value: Any, name: str, ndim: int, dtype: npt.DTypeLike | None = None) -> Any:
    """A non-empty, finite, C-contiguous float array on the GPU; not copied if it is one of the right dtype already."""
    found = view(value, name)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, got dtype {found.dtype}")
    if found.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {tuple(found.shape)}")
    if found.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {tuple(found.shape)}")
    if dtype is None:
        dtype = found.dtype if found.dtype in (np.float32, np.float64) else np.float64
    keep = found.dtype == dtype and found.is_c_contiguous()
    target = found if keep else empty(tuple(found.shape), dtype)
    flags = upload(np.zeros(2, dtype=np.int32))
    convert(found, target, flags)
    infinite, too_large = flags.copy_to_host()
    if infinite:
        raise ValueError(f"{name} must be finite, got nan or inf")
    if too_large:
        raise ValueError(f"{name} must be within the range of {np.dtype(dtype).name}, got larger entries")
    return target


def target(value: Any, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """An array on the GPU that can be filled: of that shape and dtype, C-contiguous, writeable."""
    found = view(value, name)
    if tuple(found.shape) != shape or found.dtype != dtype:
        raise ValueError(
            f"{name} must have shape {shape} and dtype {dtype}, got shape {tuple(found.shape)} and dtype {found.dtype}"
        )
    interface = getattr(value, "__cuda_array_interface__", None)
    if not found.is_c_contiguous() or (interface is not None and interface["data"][1]):
        raise ValueError(f"{name} must be C-contiguous and writeable")
    return found


def matrix(value: Any, name: str, dtype: npt.DTypeLike | None = None) -> Any:
    """A non-empty, finite, C-contiguous float matrix on the GPU."""
    return array(value, name, 2, dtype)


def representable(values: Any, name: str, dtype: np.dtype) -> None:
    """Raise unless all `values` stay finite when they are rounded to `dtype`."""
    if values.dtype != dtype:
        matrix(values, name, dtype)


def vector(value: Any, name: str, size: int, of: str, dtype: npt.DTypeLike | None = None) -> Any:
    """A finite float vector with one entry for each of the ``size`` rows of ``of``."""
    found = array(value, name, 1, dtype)
    if found.size != size:
        raise ValueError(f"{name} must have one entry for each row of {of} ({size}), got {found.size}")
    return found
