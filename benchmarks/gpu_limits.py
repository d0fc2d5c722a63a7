"""The device and what it can do at most: by its clock rates, and as measured (``python -m benchmarks.gpu_limits``)."""

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import gpu_record
from benchmarks.gpu_clock import seconds
from fastntk.compilation.jit_cuda import package, simulated
from fastntk.device import driver
from fastntk.device.arrays import zeros
from fastntk.kernels.cuda import vendor

# Of a multiprocessor of sm_80 or later in a cycle: bits counted, and float32 operations.
POPCOUNTS, FLOPS = 16 * 32, 2 * 128


@dataclass(frozen=True)
class Device:
    """Name, compute capability, memory and clock rates; None in the simulator, which has none."""

    name: str
    capability: str
    memory_bytes: int | None
    multiprocessors: int | None
    clock_hz: float | None
    memory_hz: float | None
    memory_bits: int | None
    package: str | None


def device() -> Device:
    """The device in use."""
    cuda = driver.require()
    current = cuda.get_current_device()
    capability = ".".join(map(str, current.compute_capability))
    if simulated():
        return Device("simulator", capability, None, None, None, None, None, package())
    total = int(cuda.current_context().get_memory_info().total)
    clocks = 1e3 * current.CLOCK_RATE, 1e3 * current.MEMORY_CLOCK_RATE
    return Device(
        driver.device_name(), capability, total, int(current.MULTIPROCESSOR_COUNT), *clocks,
        int(current.GLOBAL_MEMORY_BUS_WIDTH), package(),
    )  # fmt: skip


def limits(found: Device) -> dict[str, dict[str, Any]]:
    """Peak rates in units of 1e9 a second: bit products by popcount, float32 flops without matrix units, memory.

    A rate above its limit means that matrix units did the work, or that it was avoided.
    """
    if None in (found.multiprocessors, found.clock_hz, found.memory_hz, found.memory_bits):
        return {}
    cycles = 1e-9 * found.multiprocessors * found.clock_hz
    return {
        "popcount": {"rate": POPCOUNTS * cycles, "unit": "Gbit/s"},
        "float32": {"rate": FLOPS * cycles, "unit": "Gflop/s"},
        "memory": {
            "rate": 1e-9 * 2 * found.memory_hz * found.memory_bits / 8,
            "unit": "GB/s",
        },  # twice a cycle
    }


def _memory(size: int) -> tuple[float, Callable[[], Any]]:
    source, target = zeros(size, np.float32), zeros(size, np.float32)
    return 8.0 * size, lambda: target.copy_to_device(source)  # read and written


def _product(side: int, dtype: type, result: type) -> tuple[float, Callable[[], Any]]:
    A, B, C = zeros((side, side), dtype), zeros((side, side), dtype), zeros((side, side), result)
    blas, shape = vendor.Blas(), (side, side, side)
    return 2.0 * side**3, lambda: blas.product(A, B, C, shape, transpose_b=True)


def measured(quick: bool) -> dict[str, dict[str, Any]]:
    """What a copy on the device and square products of cuBLAS reach; what cannot be measured is left out.

    Products are those of zeros, which draw the least power.
    """
    side = 64 if quick else 8192
    ways = {
        "memory": (lambda: _memory(2**10 if quick else 2**28), "GB/s"),
        "int8": (lambda: _product(side, np.int8, np.int32), "Gop/s"),
        "float32": (lambda: _product(side, np.float32, np.float32), "Gflop/s"),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, (make, unit) in ways.items():
        if name != "memory" and vendor.library() is None:
            continue
        try:
            amount, call = make()
            found[name] = {"rate": 1e-9 * amount / seconds(call, quick), "unit": unit, "measured": True}
        except Exception:  # of the driver or the library: the others may still work
            traceback.print_exc()
        gpu_record.add(measured=found)
    return found


def main(quick: bool) -> None:
    """Record both kinds."""
    gpu_record.add(clocks=limits(device()))
    measured(quick)


if __name__ == "__main__":
    main("--quick" in sys.argv)
