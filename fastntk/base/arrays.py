"""Arrays and tables of other libraries as NumPy arrays: ``__array__``, a buffer, DLPack in host memory, frames."""

from typing import Any

import numpy as np

from fastntk.base.frames import from_frame, from_objects, is_frame

_HOST = (1, 3, 11)  # DLPack device types that the CPU can read: CPU, CUDA pinned, ROCm pinned


def host_array(value: Any, name: str, ndim: int) -> np.ndarray:
    """`value` as a plain NumPy array, not copied where its owner allows that; `ndim` is for the error message."""
    kind = type(value)
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        where = tuple(int(i) for i in np.argwhere(np.ma.getmaskarray(value))[0])
        raise ValueError(f"{name} must have no masked entries, got one at index {where}")
    if kind.__module__.startswith("scipy.sparse"):
        raise TypeError(f"{name} must be dense, got a sparse {kind.__name__}: pass {name}.toarray()")
    if getattr(value, "requires_grad", False) is True:
        raise TypeError(
            f"{name} must be free of gradients, got a {kind.__name__} that records them: pass {name}.detach()"
        )
    if is_frame(value):
        return from_frame(value, name)
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return _from_dlpack(value)
        found = np.asarray(value)
    except ValueError as error:  # ragged nested sequences
        raise ValueError(f"{name} must be a {ndim}-dimensional array of numbers: {error}") from None
    except (
        TypeError,
        RuntimeError,
        BufferError,
    ) as error:  # what an owner says when it cannot give its numbers
        raise TypeError(f"{name} must be readable as a NumPy array, got {kind.__name__}: {error}") from error
    if found.dtype == object:
        return from_objects(found, name)
    return found.astype(np.float64) if _extended(found.dtype) else found


def _extended(dtype: np.dtype) -> bool:
    """Whether it is a number format of another library, such as ml_dtypes' bfloat16, all of it within float64."""
    return dtype.isbuiltin == 2 and np.can_cast(dtype, np.float64)


def _from_dlpack(value: Any) -> np.ndarray:
    """Share the memory of an array that speaks DLPack only."""
    device = int(value.__dlpack_device__()[0])
    if device not in _HOST:
        raise TypeError(f"it is in the memory of a device (DLPack type {device}), move it to the host first")
    return np.from_dlpack(value)
