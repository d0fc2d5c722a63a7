"""Arrays in the memory of a GPU: recognised, viewed without a copy, and given back to the library of their owner.

An array lives on a GPU if Numba made it, or if its owner says so: by DLPack, or by ``__cuda_array_interface__``.
Nothing here imports a CUDA package before such an array is seen.
"""

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.compilation import jit_cuda
from fastntk.device.dispatch import DeviceArray, backend
from fastntk.device.driver import require

_CUDA = (2, 13)  # DLPack device types: CUDA, CUDA managed
_UNKNOWN = -1  # a GPU, but its owner does not say which
_LEGACY_STREAM = 1  # what DLPack calls the default stream, on which the kernels run


def gpu_of(value: Any) -> int | None:
    """Number of the GPU that `value` lives on (-1 if its owner does not say), None for everything else."""
    if isinstance(value, (np.ndarray, list, tuple)):
        return None
    if getattr(value, "__cuda_ndarray__", False) is True:  # Numba's mark, also on the arrays of its simulator
        return _UNKNOWN
    if hasattr(value, "__dlpack_device__"):
        kind, number = value.__dlpack_device__()
        return int(number) if int(kind) in _CUDA else None
    return _UNKNOWN if hasattr(value, "__cuda_array_interface__") else None


def on_one_gpu(**arguments: Any) -> bool:
    """Whether all arguments but those that are None live on one GPU; TypeError if some do and some do not."""
    found = [(name, gpu_of(value)) for name, value in arguments.items() if value is not None]
    known = [(name, gpu) for name, gpu in found if gpu != _UNKNOWN]
    first, gpu = found[0] if found else ("", None)
    for name, other in found[1:]:
        if (other is None) != (gpu is None):
            raise _apart(first, gpu, name, other)
    for name, other in known[1:]:
        if other != known[0][1]:
            raise _apart(*known[0], name, other)
    return gpu is not None


def _apart(first: str, gpu: int | None, second: str, other: int | None) -> TypeError:
    return TypeError(
        f"{first} and {second} must live in the same memory, got {first} on {_place(gpu)} and {second} on "
        f"{_place(other)}: move one of them"
    )


def _place(gpu: int | None) -> str:
    return "the CPU" if gpu is None else "a GPU" if gpu == _UNKNOWN else f"GPU {gpu}"


def library_of(value: Any) -> str:
    """Root module of the class of `value`, which names the library that `give_back` makes arrays of."""
    return type(value).__module__.partition(".")[0]


class _Memory:
    """Memory of somebody else, described to those who read ``__cuda_array_interface__``; keeps its owner alive."""

    def __init__(self, owner: Any, interface: dict[str, Any]) -> None:
        self.owner = owner
        self.__cuda_array_interface__ = interface
        if jit_cuda.simulated():  # simulated device memory is host memory
            self.__array_interface__ = interface


def view(value: Any, name: str) -> DeviceArray:
    """`value` as an array of the CUDA module on the same memory, ready on the default stream."""
    cuda = require()
    if getattr(value, "requires_grad", False) is True:
        raise TypeError(
            f"{name} must be free of gradients, got a {type(value).__name__} that records them: pass {name}.detach()"
        )
    if getattr(value, "__cuda_ndarray__", False) is True:
        return value
    gpu, used = gpu_of(value), getattr(cuda.get_current_device(), "id", 0)
    if gpu not in (used, _UNKNOWN):
        raise ValueError(
            f"{name} must live on GPU {used}, the one in use, got GPU {gpu}: select GPU {gpu} first"
        )
    try:
        memory = _memory(value)
        if jit_cuda.simulated():  # its module has no `as_cuda_array`
            simulator = importlib.import_module("numba.cuda.simulator.cudadrv.devicearray")
            return simulator.FakeCUDAArray(np.asarray(memory))
        return cuda.as_cuda_array(memory)
    except (TypeError, RuntimeError, BufferError, NotImplementedError) as error:
        raise TypeError(f"{name} must be readable on the GPU, got {type(value).__name__}: {error}") from error


def _memory(value: Any) -> Any:
    """What a device array says of its memory; DLPack first, because it also puts the streams in order."""
    if not hasattr(value, "__dlpack__"):
        return _Memory(value, value.__cuda_array_interface__)
    kind = importlib.import_module("cuda.core.utils").StridedMemoryView
    found = kind.from_dlpack(value, stream_ptr=_LEGACY_STREAM)
    dtype = np.dtype(found.dtype)
    strides = found.strides and tuple(stride * dtype.itemsize for stride in found.strides)
    interface = {
        "shape": found.shape, "typestr": dtype.str, "data": (found.ptr, False), "strides": strides, "version": 3,
    }  # fmt: skip
    return _Memory(found, interface)


def give_back(array: Any, library: str) -> Any:
    """The array as one of `library` on the same memory, if that is CuPy or torch, else as it is."""
    if library == "cupy":
        return importlib.import_module("cupy").asarray(array)
    if library == "torch":
        return importlib.import_module("torch").as_tensor(array, device="cuda")
    return array


def on_host(value: Any) -> Any:
    """`value`, or a copy in host memory if it lives on a GPU."""
    if gpu_of(value) is None:
        return value
    with backend() as gpu:
        return gpu.host_copy(view(value, "value"))


def engine_for(engine: str, **data: Any) -> str:
    """The engine that works on data: "cuda" if they live on a GPU; errors as of `on_one_gpu` or for another engine."""
    if not on_one_gpu(**data):
        return engine
    if engine not in ("auto", "cuda"):
        raise ValueError(f"engine must be 'auto' or 'cuda' for data on a GPU, got {engine!r}")
    return "cuda"


def require_on_host(**arguments: Any) -> None:
    """TypeError for the first argument that lives on a GPU."""
    for name, value in arguments.items():
        gpu = gpu_of(value)
        if gpu is not None:
            raise TypeError(
                f"{name} must be in host memory, got {type(value).__name__} on {_place(gpu)}: copy it to the host"
            )


def empty(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> DeviceArray:
    """Uninitialised memory on the GPU."""
    found: DeviceArray = require().device_array(shape, dtype)
    return found


def zeros(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> DeviceArray:
    """Zeros on the GPU."""
    from fastntk.kernels.cuda.conversion import zero  # which needs a CUDA package

    values = empty(shape, dtype)
    zero(values)
    return values


def upload(values: np.ndarray) -> DeviceArray:
    """A copy on the GPU, with the strides of its shape: where one is zero, Numba walks through all entries."""
    whole = np.ascontiguousarray(values)
    found: DeviceArray = require().to_device(whole.ravel().reshape(whole.shape))
    return found


def in_precision(values: Any, dtype: np.dtype) -> Any:
    """The values of a checked array in that precision, where they are: itself if it has it."""
    if values.dtype == dtype:
        return values
    if gpu_of(values) is None:
        return values.astype(dtype)
    with backend() as gpu:
        return gpu.converted(values, dtype)[0]
