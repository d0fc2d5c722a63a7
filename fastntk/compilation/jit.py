"""Compilation settings: the only place in the package that calls ``numba.njit``.

Kernels are compiled on first use and cached on disk.  ``error_model="numpy"`` removes the division checks that
block vectorisation; fast-math stays off, so NaN and infinity keep their meaning and sums keep their order.
"""

import contextlib
import ctypes
import functools
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event

_SAFE_LAYERS = ("tbb", "omp")  # layers that two Python threads may enter at once
_launch_lock = threading.RLock()
_launched_in: set[int] = set()  # process ids in which a parallel kernel has run
_forked_after_launch = False


def _preload_tbb() -> None:
    """Make TBB visible to Numba: inside a virtual environment the loader does not look where pip puts it."""
    if sys.platform == "linux":
        library = Path(sys.prefix, "lib", "libtbb.so.12")
        if library.exists():
            try:
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            except OSError as error:  # a foreign or damaged library: the next layer is used
                warnings.warn(f"TBB was found but cannot be loaded: {error}", RuntimeWarning, stacklevel=2)


def _after_fork() -> None:
    global _forked_after_launch, _launch_lock
    _forked_after_launch = os.getppid() in _launched_in or _forked_after_launch
    _launch_lock = threading.RLock()


_preload_tbb()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threading_layer() -> str | None:
    """Name of Numba's threading layer ("tbb", "omp", "workqueue"), or None before the first parallel kernel."""
    try:
        return numba.threading_layer()
    except ValueError:
        return None


class ParallelKernel:
    """A compiled parallel kernel, safe to launch from several Python threads and from forked children.

    TBB and OpenMP accept concurrent launches; the workqueue layer aborts the process, so there (and until
    the layer is known) launches are serialised.  A child forked after OpenMP has started gets an exception
    instead of being killed by the OpenMP runtime.
    """

    def __init__(self, dispatcher: Any) -> None:
        self.dispatcher = dispatcher
        functools.update_wrapper(self, dispatcher.py_func)

    def __call__(self, *args: Any) -> Any:
        """Launch."""
        layer = threading_layer()
        if layer == "omp" and _forked_after_launch:
            raise RuntimeError(
                "this process was forked after its parent had run parallel kernels on the OpenMP layer, which "
                "cannot continue in a child; use the 'spawn' start method or install 'tbb'"
            )
        if layer in _SAFE_LAYERS:
            return self.dispatcher(*args)
        with _launch_lock:
            _launched_in.add(os.getpid())
            return self.dispatcher(*args)


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
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no writable place for the cache: compile anew in each process
        return numba.njit(cache=False, **options)(function)


def kernel(function: Callable[..., Any] | None = None, *, parallel: bool = False) -> Any:
    """Decorator for kernels: a Numba dispatcher, or a `ParallelKernel` when ``parallel`` is true."""
    if function is None:
        return lambda f: kernel(f, parallel=parallel)
    dispatcher = _compile(function, parallel)
    return ParallelKernel(dispatcher) if parallel else dispatcher
