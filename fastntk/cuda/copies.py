"""Copies of arrays on a GPU: in another precision, without gaps, in host memory."""

import numpy as np

from fastntk.device.arrays import empty, zeros
from fastntk.device.dispatch import DeviceArray
from fastntk.kernels.cuda.conversion import convert, copy


def in_precision(samples: DeviceArray, dtype: np.dtype) -> DeviceArray:
    """Finite samples in that precision, themselves if they have it."""
    return samples if samples.dtype == dtype else converted(samples, dtype)[0]


def converted(values: DeviceArray, dtype: np.dtype) -> tuple[DeviceArray, bool]:
    """A C-contiguous array in that precision, itself if it is one; whether all entries are finite there."""
    keep = values.dtype == dtype and values.is_c_contiguous()
    target = values if keep else empty(tuple(values.shape), dtype)
    flags = zeros(2, np.int32)
    convert(values, target, flags)
    return target, not flags.copy_to_host().any()


def compact(values: DeviceArray, dtype: np.dtype) -> DeviceArray:
    """A new C-contiguous array, of any shape."""
    shape, size = tuple(values.shape), values.size
    found = empty(shape, dtype)
    if values.is_c_contiguous():
        copy(values.reshape(size), found.reshape(size))
    else:  # the kernel knows two dimensions
        for where in np.ndindex(*shape[:-2]):
            copy(*((values[where], found[where]) if where else (values, found)))
    return found


def host_copy(values: DeviceArray) -> np.ndarray:
    """A copy in host memory of an array of any strides."""
    whole = values if values.is_c_contiguous() else compact(values, values.dtype)
    return np.asarray(whole.copy_to_host())
