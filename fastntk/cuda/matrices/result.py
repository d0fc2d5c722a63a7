"""The memory of a Gram matrix on a GPU."""

import numpy as np

from fastntk.base.errors import MemoryLimitError
from fastntk.device.arrays import empty
from fastntk.device.dispatch import DeviceArray
from fastntk.device.driver import require_memory


def result(shape: tuple[int, int], dtype: np.dtype, out: DeviceArray | None, scratch: int) -> DeviceArray:
    """`out`, or a new matrix without it, if there is room for it and for so many bytes beside it."""
    (n, k), size = shape, shape[0] * shape[1] * dtype.itemsize
    try:
        require_memory(scratch + (0 if out is not None else size), f"the {n} x {k} Gram matrix")
    except MemoryLimitError as error:
        raise MemoryLimitError(
            f"{error}; out= an array in host memory or a file name (.npy, .h5, .zarr) has the CPU write it block by "
            "block"
        ) from None
    return empty(shape, dtype) if out is None else out
