"""Launching parallel kernels: from several Python threads, in forked children, with arrays that are read-only."""

import functools
import os
import threading
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np

from fastntk.compilation import process

_SAFE_LAYERS = ("tbb", "omp")  # layers that two Python threads may enter at once
_PATIENCE = 60.0  # seconds that a fork waits for launches under way: one may compile
_lock = threading.RLock()


class _Launches:
    """Launches under way, and other work of Numba under its locks.  A fork waits for their end.

    In a child that was forked in the middle, the next launch would hang, and Numba's lock, which processes share, would
    be left taken by a child that had seen it taken.
    """

    def __init__(self) -> None:
        self._idle = threading.Condition(threading.Lock())
        self._count, self._forking = 0, False

    def __enter__(self) -> None:
        with self._idle:
            self._idle.wait_for(lambda: not self._forking)
            self._count += 1

    def __exit__(self, *error: object) -> None:
        with self._idle:
            self._count -= 1
            self._idle.notify_all()

    def before_fork(self) -> None:
        """Wait for them, though not forever, and let none begin."""
        self._idle.acquire()
        self._forking = True
        self._idle.wait_for(lambda: not self._count, timeout=_PATIENCE)

    def after_fork(self) -> None:
        """In the parent: go on."""
        self._forking = False
        self._idle.notify_all()
        self._idle.release()


_launches = _Launches()


def _after_fork() -> None:
    """Replace what another thread of the parent may have held."""
    global _lock
    _lock = threading.RLock()
    _launches.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_launches.before_fork, after_in_parent=_launches.after_fork, after_in_child=_after_fork
    )


def require_threads() -> None:
    """Raise where Numba's threads cannot run: the OpenMP runtime would kill the process."""
    if process.layer_of_parent == "omp":
        raise RuntimeError(
            "this process was forked after its parent had run parallel kernels on the OpenMP layer, which "
            "cannot continue in a child; use the 'spawn' start method or install 'tbb'"
        )


def current_threads() -> int:
    """Threads that the next kernel runs on. Asking starts the threading layer."""
    require_threads()
    with _launches:
        return int(numba.get_num_threads())


def set_threads(count: int) -> None:
    """Threads of the kernels that this Python thread launches from now on."""
    with _launches:
        numba.set_num_threads(count)


class ParallelKernel:
    """A compiled parallel kernel, safe to launch from several Python threads and from forked children.

    TBB and OpenMP accept concurrent launches; the workqueue layer aborts the process, so there (and until
    the layer is known) launches are serialised.
    """

    def __init__(self, dispatcher: Any) -> None:
        self.dispatcher = dispatcher
        functools.update_wrapper(self, dispatcher.py_func)

    def __call__(self, *args: Any) -> Any:
        """Launch."""
        require_threads()
        arguments = map(_writable, args)
        with _launches:
            if process.threading_layer() in _SAFE_LAYERS:
                return self.dispatcher(*arguments)
            with _lock:
                return self.dispatcher(*arguments)


def _writable(value: Any) -> Any:
    """The argument with read-only arrays seen as writable ones, in the same memory.

    To Numba a read-only array is of another type, for which it would compile the kernel again; kernels write to what
    they are made to fill, never to their input.
    """
    if isinstance(value, np.ndarray):
        if value.flags.writeable:
            return value
        address, _ = value.__array_interface__["data"]
        interface = {**value.__array_interface__, "data": (address, False)}
        return np.asarray(SimpleNamespace(__array_interface__=interface, owner=value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_writable, value))
    return value
