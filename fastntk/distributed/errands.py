"""What runs on a worker: a task on the threads that are its own, and the facts about the worker itself."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastntk.base.errors import ClusterError
from fastntk.base.version import package_version

__all__ = ["describe", "keep", "perform", "same"]


class _Threads:
    """Those of this process, lent to tasks: Dask starts as many tasks as it has threads, Numba has as many for each."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lent = 0

    @contextmanager
    def lent(self, count: int, most: int) -> Iterator[None]:
        """Wait until so many are free."""
        with self._changed:
            self._changed.wait_for(lambda: self._lent + count <= most)
            self._lent += count
        try:
            yield
        finally:
            with self._changed:
                self._lent -= count
                self._changed.notify_all()


_threads = _Threads()


def perform(version: str, whole: bool, function: Callable[..., Any], *arguments: Any) -> tuple[str, Any]:
    """Call a function on all threads of this worker, or on one; returns the worker's address and the result."""
    import numba
    from distributed import get_worker

    from fastntk.compilation.threads import kernel_threads

    worker = get_worker()
    if package_version() != version:
        raise ClusterError(other_version(worker.address, package_version(), version))
    most = int(worker.state.nthreads)
    count = most if whole else 1
    with _threads.lent(count, most), kernel_threads(min(count, int(numba.config.NUMBA_NUM_THREADS))):
        return worker.address, function(*arguments)


def keep(version: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The same on all threads, with the result alone, which other tasks take as it is."""
    return perform(version, True, function, *arguments)[1]


def other_version(address: str, there: str, here: str) -> str:
    """Words for a worker whose numbers may be others."""
    return (
        f"client: the worker {address} has fastntk {there} and this process {here}, whose numbers may differ: install "
        "one version everywhere"
    )


def describe(dask_worker: Any) -> dict[str, Any]:
    """Facts about a worker, which Dask gives to an argument of this name."""
    from importlib import metadata

    return {
        "host": platform.node(),
        "threads": int(dask_worker.state.nthreads),
        "fastntk": package_version(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("numpy", "numba", "distributed")},
    }


def same(value: Any) -> Any:
    """The argument: a task whose result the scheduler can have made again when a worker that held it is gone."""
    return value
