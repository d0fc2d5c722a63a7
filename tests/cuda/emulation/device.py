"""A GPU made of host memory, on which everything is real but the driver and what executes the kernels.

Arrays, their views and copies, the arguments of a launch and the code that is compiled for their types are those of
`numba-cuda` on a device with compute capability 9.0; the PTX is executed by `launch`.
"""

import contextlib
import ctypes
import functools
import time
from types import SimpleNamespace

import numpy as np

from tests.cuda.emulation.launch import execute
from tests.cuda.emulation.memory import Memory
from tests.cuda.emulation.program import Program

MEMORY = 2**30
_ALIGNED = 256  # bytes, of what a device gives


class _Context:
    """The context of the only device; memory is that of NumPy arrays."""

    handle = 1

    def __init__(self, driver):
        self._driver, self.memory, self._pointers = driver, Memory(), {}
        self.device = SimpleNamespace(
            id=0, name="emulation", uuid="GPU-emulated", compute_capability=(9, 0), CLOCK_RATE=10**6,
            MULTIPROCESSOR_COUNT=1, MEMORY_CLOCK_RATE=10**6, GLOBAL_MEMORY_BUS_WIDTH=64,
            get_primary_context=lambda: self,
        )  # fmt: skip
        self.deallocations = SimpleNamespace(clear=lambda: None)

    def memalloc(self, size):
        memory = np.full(size + _ALIGNED, 0xA5, np.uint8)  # what was there before
        start = -memory.ctypes.data % _ALIGNED
        address = memory.ctypes.data + start
        self.memory.add(address, memory[start : start + size])
        pointer = self._driver.binding.CUdeviceptr(address)
        freed = functools.partial(self._free, address)
        self._pointers[address] = self._driver.AutoFreePointer(self, pointer, size, finalizer=freed)
        return self._pointers[address].own()

    def _free(self, address):
        self.memory.remove(address)
        del self._pointers[address]

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


def install(monkeypatch):
    """Make `numba.cuda` believe in the device; the context."""
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import devices, driver

    context, programs = _Context(driver), {}

    def copy(target, source, size):
        ctypes.memmove(int(target), int(source), int(size))

    def launch(kernel, arguments, grid, block, stream=0, shared=0):
        assert grid[0] < 2**31
        assert max(grid[1:]) < 2**16
        assert min(grid) > 0
        passed = []
        for kind, value in zip(kernel.argument_types, arguments, strict=True):
            kernel._prepare_args(kind, value, stream, [], passed)
        if kernel not in programs:
            programs[kernel] = Program(kernel._codelibrary.get_asm_str())
        execute(programs[kernel], context.memory, passed, grid, block)

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
