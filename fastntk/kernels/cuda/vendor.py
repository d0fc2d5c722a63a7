"""Dense products by cuBLAS, where it is installed: CuPy, torch, conda and the CUDA toolkit all bring it along.

`cuda.pathfinder`, which the CUDA packages depend on, knows most places; builds of torch and CuPy that carry their own
copy are looked at after it. The C function is called directly, so neither of the two is needed. Row-major products are
column-major ones of the transposes: ``C = A B`` is ``C^T = B^T A^T``.
Formats: float32 with float32 sums (never tf32), float64, int8 with int32 sums, bf16 (held as uint16) with float32 sums.
Alignment: for int8 cuBLAS takes matrix units only if its first factor is transposed and the second is not (here: B
    transposed, A not), if the columns of C, the depth and all row lengths are multiples of 4, and pointers of 4 bytes;
    for full speed of 16 bytes. Masks are padded to 16 samples and 64 neurons, so they are.
Machine: all formats ran on an H100 (cuBLAS 13.1), where products are right; beside it arguments are tested against a
    double that computes what cuBLAS documents.
"""

import contextlib
import ctypes
import ctypes.util
import functools
import importlib
import importlib.util
import threading
from pathlib import Path

import numpy as np

from fastntk.compilation.jit_cuda import cuda, simulated

_N, _T = 0, 1
_DEFAULT_ALGORITHM = -1
_CARRIERS = ("torch", "lib"), ("cupy", ".data/lib")  # package, folder in it
# Of each dtype of the factors: their type, that of the result, how to compute, and the dtype of the scalars.
_FORMATS = {
    "float32": (0, 0, 68, np.float32),
    "float64": (1, 1, 70, np.float64),
    "int8": (3, 10, 72, np.int32),
    "uint16": (14, 0, 68, np.float32),
}


def load(name):
    """That library of the CUDA toolkit, or None where it is not installed, and in the simulator."""
    if simulated():
        return None
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
        return ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib(name).abs_path)
    except (ImportError, RuntimeError, OSError):  # not found, or not for this platform
        return _carried(name)


def _carried(name):
    """The copy inside torch or CuPy, which are not imported; or what the system's loader finds; or None."""
    found = []
    for package, folder in _CARRIERS:
        spec = importlib.util.find_spec(package)
        places = (spec.submodule_search_locations if spec is not None else None) or ()
        found += [path for place in places for path in sorted(Path(place, folder).glob(f"lib{name}.so*"))]
    for path in (*found, ctypes.util.find_library(name)):
        with contextlib.suppress(OSError):
            if path is not None:
                return ctypes.CDLL(str(path))
    return None


@functools.cache
def library():
    """cuBLAS, or None."""
    cublas = load("cublas")
    if cublas is None:
        return None
    integer, pointer = ctypes.c_int, ctypes.c_void_p
    cublas.cublasCreate_v2.argtypes = [ctypes.POINTER(pointer)]
    cublas.cublasSetStream_v2.argtypes = [pointer, pointer]
    factor = [pointer, integer, integer]
    cublas.cublasGemmEx.argtypes = [
        pointer, integer, integer, integer, integer, integer, pointer, *factor, *factor, pointer, *factor, integer,
        integer,
    ]  # fmt: skip
    return cublas


def check(status, call):
    """RuntimeError with the name of a call that did not succeed."""
    if status:
        raise RuntimeError(f"{call} failed with status {status}")


def address(array):
    """Where a device array starts."""
    return array.__cuda_array_interface__["data"][0]


def _operand(array):
    """Address and row length, of a range of the columns of a wider matrix too."""
    itemsize = np.dtype(array.dtype).itemsize
    return address(array), max(array.strides[0] // itemsize, array.shape[1])


@functools.cache
def _handle(cublas, thread, device, stream):
    """A handle is tied to a device and a stream and takes milliseconds to make: one for each, and for each thread."""
    handle = ctypes.c_void_p()
    check(cublas.cublasCreate_v2(ctypes.byref(handle)), "cublasCreate")
    check(cublas.cublasSetStream_v2(handle, stream), "cublasSetStream")
    return handle


class Blas:
    """cuBLAS on one stream of the current device."""

    def __init__(self, stream=0):
        device = cuda.get_current_device().uuid  # cuBLAS takes what is current, and this makes it so
        self._cublas = library()
        self._handle = _handle(self._cublas, threading.get_ident(), device, int(stream))

    def product(self, A, B, C, shape, transpose_a=False, transpose_b=False, add=False):
        """C[:M, :N] = op(A) op(B), added to C with ``add``; shape (M, N, K); contiguous rows, which may be longer."""
        rows, columns, depth = shape
        kind, result, compute, scalar = _FORMATS[np.dtype(A.dtype).name]
        one, old = scalar(1).tobytes(), scalar(1 if add else 0).tobytes()
        (a, lda), (b, ldb), (c, ldc) = map(_operand, (A, B, C))
        status = self._cublas.cublasGemmEx(
            self._handle, _T if transpose_b else _N, _T if transpose_a else _N, columns, rows, depth, one,
            b, kind, ldb, a, kind, lda, old, c, result, ldc, compute, _DEFAULT_ALGORITHM,
        )  # fmt: skip
        check(status, "cublasGemmEx")
