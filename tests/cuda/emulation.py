"""A GPU made of host memory, on which everything is real but the driver and the execution of kernels.

Arrays, their views and copies, the types of the arguments of a launch and the code that is compiled for them are those
of `numba-cuda` on a device with compute capability 9.0; the calls of cuBLAS are those of `fastntk`, to a double that
computes what cuBLAS documents. The simulator, which replaces all of that by NumPy arrays, only lends its threads.
"""

import contextlib
import ctypes
import time
import types
from types import SimpleNamespace

import numpy as np

MEMORY = 2**30
_ALIGNED = 256  # bytes, of what a device gives


class _Context:
    """The context of the only device; memory is that of NumPy arrays."""

    handle = 1

    def __init__(self, driver):
        self._driver = driver
        self.device = SimpleNamespace(
            id=0, name="emulation", uuid="GPU-emulated", compute_capability=(9, 0), CLOCK_RATE=10**6,
            MULTIPROCESSOR_COUNT=1, get_primary_context=lambda: self,
        )  # fmt: skip
        self.deallocations = SimpleNamespace(clear=lambda: None)

    def memalloc(self, size):
        memory = np.full(size + _ALIGNED, 0xA5, np.uint8)  # what was there before
        pointer = self._driver.binding.CUdeviceptr(memory.ctypes.data + -memory.ctypes.data % _ALIGNED)
        return self._driver.MemoryPointer(self, pointer, size, owner=memory)

    def get_memory_info(self):
        return SimpleNamespace(free=MEMORY, total=MEMORY)

    def synchronize(self):
        pass

    def create_event(self, timing):
        return _Event()


class _Event:
    """A moment; its handle is the time in microseconds."""

    def record(self, stream=0):
        self.handle = int(1e6 * time.perf_counter())

    def synchronize(self):
        pass


def _host_array(array):
    """A device array as the NumPy array on the same memory."""
    if not array.size:
        return np.empty(array.shape, array.dtype)
    extent = int(sum((size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)))
    address = int(array.gpu_data.device_pointer)
    buffer = (ctypes.c_byte * (extent + array.dtype.itemsize)).from_address(address)
    return np.ndarray(array.shape, array.dtype, buffer, strides=array.strides)


class _Threaded:
    """Stands for the CUDA module in kernels: what the simulator gives the launch that is being executed."""

    now = None

    def __getattr__(self, name):
        return getattr(_Threaded.now, name)


_THREADED = _Threaded()
_LIBDEVICE = SimpleNamespace(
    float_as_int=lambda x: np.float32(x).view(np.int32),
    int_as_float=lambda word: np.int32(word).view(np.float32),
)


class _Executable:
    """Kernels and device functions as Python functions."""

    def __init__(self, cuda, dispatcher):
        self._cuda, self._dispatcher, self._made = cuda, dispatcher, {}

    def _stand_in(self, value):
        if value is self._cuda:
            return _THREADED
        if value is self._cuda.libdevice:
            return _LIBDEVICE
        return self.of(value.py_func) if isinstance(value, self._dispatcher) else value

    def of(self, function):
        """The function with what it refers to replaced, kept."""
        if function not in self._made:
            named = function.__code__.co_names
            names = {
                name: self._stand_in(value) if name in named else value
                for name, value in function.__globals__.items()
            }
            cells = function.__closure__ and tuple(
                types.CellType(self._stand_in(cell.cell_contents)) for cell in function.__closure__
            )
            self._made[function] = types.FunctionType(
                function.__code__, names, function.__name__, function.__defaults__, cells
            )
        return self._made[function]


def install(monkeypatch):
    """Make `numba.cuda` believe in the device; the context."""
    from numba import cuda
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import devices, driver
    from numba.cuda.simulator.kernel import BlockManager
    from numba.cuda.simulator.kernelapi import FakeCUDAModule

    context = _Context(driver)
    executable = _Executable(cuda, dispatcher.CUDADispatcher)

    def copy(target, source, size):
        ctypes.memmove(int(target), int(source), int(size))

    def launch(kernel, arguments, grid, block, stream=0, shared=0):
        assert np.prod(block) <= 1024
        assert grid[0] < 2**31
        assert max(grid[1:]) < 2**16
        assert min(grid) > 0
        for kind, value in zip(kernel.argument_types, arguments, strict=True):
            kernel._prepare_args(kind, value, stream, [], [])
        function = executable.of(kernel.py_func)
        _Threaded.now = FakeCUDAModule(grid, block, shared)
        values = [_host_array(value) if hasattr(value, "gpu_data") else value for value in arguments]
        for point in np.ndindex(*grid):
            BlockManager(function, grid, block, False).run(point, *values)

    monkeypatch.setattr(driver.driver, "is_initialized", True)
    monkeypatch.setattr(driver.driver, "initialization_error", None)
    for name in ("cuMemcpyHtoD", "cuMemcpyDtoH", "cuMemcpyDtoD"):
        monkeypatch.setattr(driver.driver, name, copy)
    monkeypatch.setattr(driver.driver, "cuEventElapsedTime", lambda began, ended: 1e-3 * (ended - began))
    monkeypatch.setattr(devices._runtime, "ensure_context", contextlib.nullcontext)
    monkeypatch.setattr(devices._runtime, "get_or_create_context", lambda number: context)
    monkeypatch.setattr(dispatcher._Kernel, "bind", lambda kernel: None)
    monkeypatch.setattr(dispatcher._Kernel, "launch", launch)
    return context
