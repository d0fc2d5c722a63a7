"""Checks of arguments that live in host memory or on a GPU: the rules, words and places of `fastntk.base.checks`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.device.arrays import gpu_of, on_host, view
from fastntk.device.dispatch import DeviceArray, backend


def array(value: Any, name: str, ndim: int, dtype: npt.DTypeLike | None = None) -> Any:
    """A non-empty, finite, C-contiguous float array where `value` is: see `fastntk.base.checks.array`."""
    if gpu_of(value) is None:
        return checks.array(value, name, ndim, dtype)
    found = view(value, name)
    checks.require_real(found, name, ndim)
    if dtype is None:
        dtype = found.dtype if found.dtype in (np.float32, np.float64) else np.float64
    with backend() as gpu:
        converted, finite = gpu.converted(found, np.dtype(dtype))
    if not finite:
        checks.array(on_host(found), name, ndim, dtype)  # which says where
    return converted


def matrix(value: Any, name: str, dtype: npt.DTypeLike | None = None) -> Any:
    """A non-empty, finite, C-contiguous float matrix."""
    return array(value, name, 2, dtype)


def vector(value: Any, name: str, size: int, of: str, dtype: npt.DTypeLike | None = None) -> Any:
    """A finite float vector with one entry for each of the ``size`` rows of ``of``."""
    found = array(value, name, 1, dtype)
    checks.require_size(found, name, size, of)
    return found


def representable(values: Any, name: str, dtype: np.dtype) -> None:
    """Raise unless all `values` of a checked array stay finite when they are rounded to `dtype`."""
    if gpu_of(values) is None:
        checks.representable(values, name, dtype)
    elif values.dtype != dtype:
        with backend() as gpu:
            finite = gpu.converted(values, dtype)[1]
        if not finite:
            checks.representable(on_host(values), name, dtype)


def target(value: Any, name: str, shape: tuple[int, int], dtype: np.dtype) -> DeviceArray:
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
