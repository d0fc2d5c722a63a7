"""Threads of a computation: Numba's for the kernels, one for BLAS while kernels run.

Idle BLAS workers spin for a while after each call and would take cores from the kernels, so kernels that call
BLAS do so from their own threads, on one BLAS thread each.
"""

import contextlib
import functools
import importlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import numba
import threadpoolctl

from fastntk.base import checks
from fastntk.compilation.launch import current_threads

_limit_lock = threading.Lock()
_limit_users = 0
_limit: Any = None


def _after_fork() -> None:
    """A child may inherit a lock that a thread of its parent held."""
    global _limit_lock
    _limit_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def _blas_libraries() -> threadpoolctl.ThreadpoolController:
    """The BLAS libraries of NumPy and of SciPy (the one kernels call): looking for them takes a millisecond."""
    importlib.import_module("scipy.linalg.cython_blas")
    return threadpoolctl.ThreadpoolController()


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """One BLAS thread while anyone is inside: the setting is global, so the last one to leave restores it."""
    global _limit, _limit_users
    with _limit_lock:
        if _limit is None:
            _limit = _blas_libraries().limit(limits=1, user_api="blas")
        _limit_users += 1
    try:
        yield
    finally:
        with _limit_lock:
            _limit_users -= 1
            if _limit_users == 0:
                _limit.restore_original_limits()
                _limit = None


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
        numba.set_num_threads(threads)
    try:
        with _one_blas_thread():
            yield current_threads()
    finally:
        numba.set_num_threads(before)
