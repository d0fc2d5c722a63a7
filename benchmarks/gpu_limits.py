"""The device and what it can do at most, by its clock rates: nothing here is measured."""

from dataclasses import dataclass
from typing import Any

from fastntk.compilation.jit_cuda import package, simulated
from fastntk.device import driver

POPCOUNTS, FLOPS = (
    16 * 32,
    2 * 128,
)  # bits counted, and float32 flops, in a cycle of a multiprocessor of sm_80 or later


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
