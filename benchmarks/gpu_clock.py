"""Time on the device."""

import time
from collections.abc import Callable
from typing import Any

from fastntk.compilation.jit_cuda import simulated
from fastntk.device import driver

_AT_LEAST = 0.2  # seconds that calls in a row run


def seconds(call: Callable[[], Any], quick: bool) -> float:
    """Seconds of one of several calls in a row, between two events of the default stream, after an uncounted one."""
    cuda = driver.require()
    once = _between(cuda, call, 1)
    return once if quick else _between(cuda, call, max(1, int(_AT_LEAST / once)))


def _between(cuda: Any, call: Callable[[], Any], calls: int) -> float:
    began, ended = cuda.event(), cuda.event()
    clock = time.perf_counter()
    began.record()
    for _ in range(calls):
        call()
    ended.record()
    ended.synchronize()
    if simulated():  # has no clock of its own
        return (time.perf_counter() - clock) / calls
    return 1e-3 * float(cuda.event_elapsed_time(began, ended)) / calls
