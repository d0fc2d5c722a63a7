"""LAPACK's Cholesky factor and the inverse from it, in place and without Python's lock.

SciPy's wrappers hold that lock: for milliseconds no other thread of Python would start so much as a product.
"""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import get_cython_function_address

_LOWER = b"L"
_INTEGER = ctypes.POINTER(ctypes.c_int)


@functools.cache
def _routine(name: str) -> Callable[..., Any]:
    """``name(uplo, n, matrix, leading dimension, info)``."""
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, _INTEGER, ctypes.c_void_p, _INTEGER, _INTEGER)
    return kind(get_cython_function_address("scipy.linalg.cython_lapack", name))


def _call(name: str, matrix: np.ndarray) -> int:
    """`info` of a routine for the precision of a matrix that lies in memory row by row."""
    assert matrix.flags.c_contiguous
    assert matrix.shape == (len(matrix), len(matrix))
    size, info = ctypes.c_int(len(matrix)), ctypes.c_int()
    kind = {"float32": "s", "float64": "d"}[matrix.dtype.name]
    by_reference = ctypes.byref(size)
    _routine(kind + name)(_LOWER, by_reference, matrix.ctypes.data, by_reference, ctypes.byref(info))
    return info.value


def factorised(matrix: np.ndarray) -> bool:
    """Put U with ``matrix = U^T U`` into the upper triangle; False if the matrix is not positive definite.

    What is below the diagonal is neither read nor written.  Cost n^3 / 3.  Pivots of nan, which come of an overflow,
    pass for positive ones in OpenBLAS: here they do not.
    """
    return _call("potrf", matrix) == 0 and bool(np.isfinite(matrix.diagonal()).all())


def inverse_from(factor: np.ndarray) -> np.ndarray:
    """The full symmetric inverse from such a factor, which it overwrites.  Cost 2 n^3 / 3."""
    _call("potri", factor)
    for first in range(0, len(factor), 128):  # the upper triangle of rows is set; mirror it by blocks
        last = first + 128
        corner = factor[first:last, first:last]
        corner[...] = np.triu(corner) + np.triu(corner, 1).T
        factor[last:, first:last] = factor[first:last, last:].T
    return factor
