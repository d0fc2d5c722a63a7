"""Threads of a computation: Numba's for the kernels, one for BLAS.

How BLAS splits a sum over threads shows in the last digits, so whatever is computed with it is computed on one
thread.  Its idle workers would also spin for a while after each call and take cores from the kernels.
"""

import contextlib
import functools
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numba
import threadpoolctl

from fastntk.base import checks
from fastntk.compilation.launch import current_threads, set_threads


@functools.cache
def _blas_libraries() -> threadpoolctl.ThreadpoolController:
    """The BLAS libraries of NumPy and of SciPy: looking for them takes a millisecond."""
    importlib.import_module("scipy.linalg.cython_blas")
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def blas_kernels() -> list[str]:
    """The kernels that these libraries have chosen, by the processors they are made for."""
    found = _blas_libraries().info()
    return sorted({str(library.get("architecture", library["internal_api"])) for library in found})


def _setter(library: Any) -> Callable[[int], Any]:
    """Sets the threads of a library from any Python thread: of OpenBLAS, threadpoolctl asks the first one only."""
    return getattr(library, "_real_set_num_threads", library.set_num_threads)


class _OneThread:
    """The setting is global: whoever enters first takes it down to one, whoever leaves last restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: dict[int, int] = {}  # how many times each Python thread has entered
        self._before: list[tuple[Any, int]] = []

    def enter(self) -> None:
        """Take BLAS down to one thread, or keep it there."""
        me = threading.get_ident()
        with self._lock:
            if not self._inside:
                self._before = [(each, each.get_num_threads()) for each in _blas_libraries().lib_controllers]
                for library, _ in self._before:
                    _setter(library)(1)
            self._inside[me] = self._inside.get(me, 0) + 1

    def leave(self) -> None:
        """Restore what was there, if nobody else is inside."""
        me = threading.get_ident()
        with self._lock:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
            if not self._inside:
                self._restore()

    def _restore(self) -> None:
        for library, threads in self._before:
            if library.get_num_threads() == 1:  # else someone else has set it since
                _setter(library)(threads)

    def after_fork(self) -> None:
        """In a child only the thread that forked is left, and what the others held or were about to restore."""
        self._lock = threading.Lock()
        me = threading.get_ident()
        self._inside = {me: self._inside[me]} if me in self._inside else {}
        if not self._inside:
            self._restore()


_blas = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_blas.after_fork)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS and LAPACK on one thread, for results that do not depend on how many there are."""
    _blas.enter()
    try:
        yield
    finally:
        _blas.leave()


@contextlib.contextmanager
def kernel_threads(threads: int | None = None) -> Iterator[int]:
    """Run kernels on ``threads`` threads (default: Numba's current number) and BLAS on one; yields the number."""
    before = current_threads()
    if threads is not None:
        most = int(numba.config.NUMBA_NUM_THREADS)
        if checks.integer(threads, "threads", 1) > most:
            raise ValueError(
                f"threads must be at most {most} (NUMBA_NUM_THREADS, by default the number of cores), got {threads}"
            )
        set_threads(threads)
    try:
        with one_blas_thread():
            yield current_threads()
    finally:
        set_threads(before)
