"""Compilation settings: the only place in the package that calls ``numba.njit``.

Kernels are compiled on first use and cached on disk.  ``error_model="numpy"`` removes the division checks that
block vectorisation; fast-math stays off, so NaN and infinity keep their meaning and sums keep their order.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event

from fastntk.compilation.kernel_cache import secure, unkept
from fastntk.compilation.launch import ParallelKernel

if numba.config.DISABLE_JIT:
    raise ImportError("fastntk is compiled by Numba, which NUMBA_DISABLE_JIT=1 forbids: unset that variable")

# What a kernel may take helpers and constants from.
_SOURCES = ("base/*.py", "compilation/*.py", "kernels/*.py", "kernels/cpu/*.py")


class CompileClock(event.Listener):
    """Seconds spent compiling while installed: ``with CompileClock.running() as clock``."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0
        self._began = 0.0

    @classmethod
    def running(cls) -> "contextlib.AbstractContextManager[CompileClock]":
        """Install a new clock for a while."""
        return event.install_listener("numba:compile", cls())

    def on_start(self, event: Any) -> None:
        """Count from the outermost compilation: kernels compile the kernels they call."""
        if self._depth == 0:
            self._began = time.perf_counter()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        """Add what the outermost compilation took."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._began


def _compile(function: Callable[..., Any], parallel: bool) -> Any:
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True, "parallel": parallel}
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no writable place
        unkept(f"in {Path(__file__).parents[1]}, nor in the user's cache folder")
    else:
        if secure(dispatcher, *_SOURCES):
            return dispatcher
        unkept(f"by Numba {numba.__version__} in a way that is known here")
    return numba.njit(cache=False, **options)(function)


def kernel(
    function: Callable[..., Any] | None = None, *, parallel: bool = False, launches: bool = False
) -> Any:
    """Decorator for kernels: a Numba dispatcher, or a `ParallelKernel` when ``parallel`` is true.

    ``launches`` makes a `ParallelKernel` of one that runs on one thread and calls the ``dispatcher`` of parallel ones.
    """
    if function is None:
        return lambda f: kernel(f, parallel=parallel, launches=launches)
    dispatcher = _compile(function, parallel)
    return ParallelKernel(dispatcher) if parallel or launches else dispatcher
