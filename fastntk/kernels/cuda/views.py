"""Ranges of the columns of a device array, in a time that does not depend on its size.

Slicing does the same, but walks through all rows on the host: 6 microseconds each, 20 milliseconds for 4000 rows.
"""

from fastntk.compilation.jit_cuda import cuda, simulated


def columns(array, first, last):
    """array[:, first:last] of a device array with contiguous rows, without a copy."""
    if simulated():  # where arrays are NumPy's
        return array[:, first:last]
    pointer, readonly = array.__cuda_array_interface__["data"]
    view = {
        "shape": (array.shape[0], last - first),
        "strides": array.strides,
        "typestr": array.dtype.str,
        "data": (pointer + first * array.dtype.itemsize, readonly),
        "version": 3,
    }
    return cuda.from_cuda_array_interface(view, owner=array, sync=False)
