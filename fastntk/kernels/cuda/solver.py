"""Dense factorisations and eigenvectors of symmetric float64 matrices by cuSOLVER, where it is installed.

Found and called as cuBLAS is (see `vendor`): the C functions directly, the 64-bit interface where there is one, so that
    n^2 may exceed 2^31 (but for the inverse, whose workspace cuSOLVER counts in 32 bits).
Layout: row-major and symmetric, hence column-major too; cuSOLVER's upper triangle is the lower one of rows.
    Eigenvectors come back as rows.
Cost: Cholesky n^3 / 6 multiply-adds, the inverse from it n^3 / 3, all eigenvectors about 4 n^3; the reduction to
    tridiagonal form is bound by memory: 2/3 n^3 numbers read, 1.1 ms of an H200 at n = 1000, where latency is larger.
Not yet run on a device: arguments are tested against a double that computes what cuSOLVER documents.
"""

import ctypes
import functools
import threading

import numpy as np

from fastntk.compilation.jit_cuda import cuda
from fastntk.kernels.cuda.vendor import address, check, load

_UPPER = 1
_VECTORS = 1
_FLOAT64 = 1


@functools.cache
def library():
    """cuSOLVER, or None."""
    cusolver = load("cusolver")
    if cusolver is None:
        return None
    integer, long, size, pointer = ctypes.c_int, ctypes.c_int64, ctypes.c_size_t, ctypes.c_void_p
    sizes, workspaces = [ctypes.POINTER(size)] * 2, [pointer, size, pointer, size]
    matrix = [integer, long, integer, pointer, long]  # triangle, rows, type, address, row length
    for name, arguments in {
        "cusolverDnCreate": [ctypes.POINTER(pointer)],
        "cusolverDnSetStream": [pointer, pointer],
        "cusolverDnCreateParams": [ctypes.POINTER(pointer)],
        "cusolverDnXpotrf_bufferSize": [pointer, pointer, *matrix, integer, *sizes],
        "cusolverDnXpotrf": [pointer, pointer, *matrix, integer, *workspaces, pointer],
        "cusolverDnDpotri_bufferSize": [pointer, integer, integer, pointer, integer, ctypes.POINTER(integer)],
        "cusolverDnDpotri": [pointer, integer, integer, pointer, integer, pointer, integer, pointer],
        "cusolverDnXsyevd_bufferSize": [pointer, pointer, integer, *matrix, integer, pointer, integer, *sizes],
        "cusolverDnXsyevd": [pointer, pointer, integer, *matrix, integer, pointer, integer, *workspaces, pointer],
    }.items():  # fmt: skip
        getattr(cusolver, name).argtypes = arguments
    return cusolver


@functools.cache
def _handles(cusolver, thread, device, stream):
    """A handle and its parameters: one for each device, stream and thread, as for cuBLAS."""
    handle, parameters = ctypes.c_void_p(), ctypes.c_void_p()
    for status, call in (
        (cusolver.cusolverDnCreate(ctypes.byref(handle)), "cusolverDnCreate"),
        (cusolver.cusolverDnSetStream(handle, stream), "cusolverDnSetStream"),
        (cusolver.cusolverDnCreateParams(ctypes.byref(parameters)), "cusolverDnCreateParams"),
    ):
        check(status, call)
    return handle, parameters


class Solver:
    """cuSOLVER on one stream of the current device; each call gives its `info`, int32 on the device, 0 for success.

    Its workspaces are in use until then.
    """

    def __init__(self, stream=0):
        device = cuda.get_current_device().uuid  # cuSOLVER takes what is current, and this makes it so
        self._cusolver, self._stream = library(), stream
        self._handle, self._parameters = _handles(self._cusolver, threading.get_ident(), device, int(stream))
        self._info = cuda.device_array(1, np.int32, stream=stream)

    def factor(self, A):
        """Lower half of A (n, n) = its Cholesky factor; info i > 0: the leading minor of i rows is not positive."""
        n = len(A)
        return self._call("cusolverDnXpotrf", _UPPER, n, _FLOAT64, address(A), n, _FLOAT64)

    def invert(self, A):
        """Lower half of A (n, n) = that of the inverse, from a factor."""
        n, count, call = len(A), ctypes.c_int(), "cusolverDnDpotri"
        arguments = self._handle, _UPPER, n, address(A), n
        size = getattr(self._cusolver, f"{call}_bufferSize")
        check(size(*arguments, ctypes.byref(count)), f"{call}_bufferSize")
        self._there = cuda.device_array(max(count.value, 1), np.float64, stream=self._stream)
        check(
            getattr(self._cusolver, call)(*arguments, address(self._there), count, address(self._info)), call
        )
        return self._info

    def eigenvectors(self, A, values):
        """Values (n,), ascending, of A (n, n), which becomes the vectors, as rows."""
        n = len(A)
        matrix = _UPPER, n, _FLOAT64, address(A), n
        return self._call("cusolverDnXsyevd", _VECTORS, *matrix, _FLOAT64, address(values), _FLOAT64)

    def _call(self, call, *arguments):
        """A function of the 64-bit interface, with the workspaces that it asks for."""
        there, here = ctypes.c_size_t(), ctypes.c_size_t()
        common = self._handle, self._parameters, *arguments
        size = getattr(self._cusolver, f"{call}_bufferSize")
        check(size(*common, ctypes.byref(there), ctypes.byref(here)), f"{call}_bufferSize")
        self._there = cuda.device_array(max(there.value, 1), np.uint8, stream=self._stream)
        self._here = ctypes.create_string_buffer(max(here.value, 1))
        check(
            getattr(self._cusolver, call)(
                *common, address(self._there), there, ctypes.addressof(self._here), here, address(self._info)
            ),
            call,
        )
        return self._info
