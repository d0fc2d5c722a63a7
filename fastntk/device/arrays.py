"""Arrays in the memory of a GPU: recognised, viewed without a copy, and given back to the library of their owner.

An array lives on a GPU if Numba made it, or if its owner says so: by DLPack, or by ``__cuda_array_interface__``.
Nothing here imports a CUDA package before such an array is seen.
"""

import contextlib
import functools
import importlib
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base.errors import DeviceError, MemoryLimitError
from fastntk.compilation import jit_cuda

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


def together(**arguments: Any) -> bool:
    """Whether all arguments (None is none) live on one GPU; TypeError if some do and some do not."""
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


@functools.cache
def require() -> Any:
    """The CUDA module; DeviceError, which says what is missing, where it cannot be used."""
    problem = jit_cuda.problem()
    if problem is not None:
        raise DeviceError(f"CUDA cannot be used: {problem}")
    return jit_cuda.cuda


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


def view(value: Any, name: str) -> Any:
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
    return value if gpu_of(value) is None else on_gpu("host_copy", value)


def engine_for(engine: str, **data: Any) -> str:
    """The engine that works on data: "cuda" if they live on a GPU; errors as of `together`, and for another engine."""
    if not together(**data):
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


def empty(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """Uninitialised memory on the GPU."""
    return require().device_array(shape, dtype)


def zeros(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """Zeros on the GPU."""
    values = empty(shape, dtype)
    importlib.import_module("fastntk.kernels.cuda.conversion").zero(values)
    return values


def upload(values: np.ndarray) -> Any:
    """A copy on the GPU."""
    return require().to_device(np.ascontiguousarray(values))


def available_bytes() -> float:
    """Memory of the GPU that is free."""
    return float(require().current_context().get_memory_info().free)


def device_name() -> str:
    """Name of the GPU in use."""
    if jit_cuda.simulated():
        return "simulator"
    name = require().get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


def state() -> str:
    """What there is to compute on, or what is missing, in one line."""
    problem = jit_cuda.problem()
    if problem is not None:
        return f"not usable: {problem}"
    version = ".".join(map(str, require().get_current_device().compute_capability))
    free = "" if jit_cuda.simulated() else f", {available_bytes() / 2**30:.1f} GiB free"
    return f"{device_name()}, compute capability {version}{free}, {jit_cuda.package()}"


def require_memory(needed: int, what: str) -> None:
    """Raise `MemoryLimitError` naming both sizes if ``needed`` bytes of the GPU are not free for ``what``."""
    available = available_bytes()
    if needed > available:
        raise MemoryLimitError(
            f"{what} needs {needed} bytes ({needed / 2**30:.3g} GiB) of the GPU's memory, but only "
            f"{available:.0f} ({available / 2**30:.3g} GiB) are available"
        )


def on_gpu(operation: str, *arguments: Any, **options: Any) -> Any:
    """Call that function of `fastntk.cuda.operations`, or of another module of its package that is named before a dot.

    They are loaded for arrays on a GPU only.
    """
    require()
    module, _, name = operation.rpartition(".")
    with guard():
        found = importlib.import_module(f"fastntk.cuda.{module or 'operations'}")
        return getattr(found, name)(*arguments, **options)


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Around work on the GPU: waits for it, turns its errors into typed ones, frees what failed work had allocated."""
    try:
        yield
        require().synchronize()
    except BaseException as error:
        # What the frames of the failed work hold would live as long as the error does.
        traceback.clear_frames(error.__traceback__)
        _free_pending()
        typed = _typed(error)
        if typed is None:
            raise
        raise typed from error


def _free_pending() -> None:
    """Numba frees memory some time after its last use; other libraries may want it now."""
    if require.cache_info().currsize:
        pending = getattr(require().current_context(), "deallocations", None)
        if pending is not None:
            pending.clear()


def _typed(error: BaseException) -> Exception | None:
    """An error of the driver or the compiler as one of this package, None for all others."""
    library = type(error).__module__.partition(".")[0]
    if library not in ("numba", "numba_cuda", "numba_cuda_mlir", "cuda"):
        return None
    text = " ".join(str(error).split())
    if "OUT_OF_MEMORY" in text.upper().replace(" ", "_"):
        return MemoryLimitError(f"the GPU is out of memory: {text}")
    return DeviceError(f"the GPU failed: {text}")
