"""What runs on a worker: a task on the threads that are its own, and the facts about the worker itself."""

from __future__ import annotations

import functools
import platform
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from fastntk.base.errors import ClusterError
from fastntk.base.version import package_version
from fastntk.distributed.parcels import Parcel, opened

__all__ = ["describe", "keep", "perform", "processor", "require_same", "same", "sent", "versions"]

_LIBRARIES = ("numpy", "scipy", "numba", "llvmlite")  # another version may round otherwise


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


def perform(wanted: Mapping[str, str], whole: bool, function: Callable[..., Any], *arguments: Any) -> Parcel:
    """Call a function on all threads of this worker, or on one; the worker's address and the result, to be fetched."""
    return Parcel.of(_performed(wanted, whole, function, *arguments))


def keep(wanted: Mapping[str, str], function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it on all threads; the result alone, which stays here for other tasks."""
    return _performed(wanted, True, function, *arguments)[1]


def _performed(
    wanted: Mapping[str, str], whole: bool, function: Callable[..., Any], *arguments: Any
) -> tuple[str, Any]:
    """The worker's address and the result, if the worker has the versions that are wanted."""
    import numba
    from distributed import get_worker

    from fastntk.compilation.threads import kernel_threads

    worker = get_worker()
    require_same(worker.address, versions(), wanted)
    most = int(worker.state.nthreads)
    count = most if whole else 1
    with _threads.lent(count, most), kernel_threads(min(count, int(numba.config.NUMBA_NUM_THREADS))):
        return worker.address, function(*map(opened, arguments))


def versions() -> dict[str, str]:
    """What must be the same everywhere for the same bits."""
    return {"fastntk": package_version(), **_library_versions()}


@functools.cache
def _library_versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in _LIBRARIES}


def require_same(address: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    """ClusterError if a worker has another version of something."""
    for name, version in ours.items():
        if theirs.get(name) != version:
            raise ClusterError(
                f"client: the worker {address} has {name} {theirs.get(name)} and this process {version}, whose numbers "
                "may differ: install one version everywhere"
            )


@functools.cache
def processor() -> str:
    """What decides how products and sums are rounded: what kernels are compiled for, and the kernels of BLAS."""
    import numba
    from llvmlite import binding

    from fastntk.compilation.threads import blas_kernels

    name = numba.config.CPU_NAME or binding.get_host_cpu_name()
    features = numba.config.CPU_FEATURES or binding.get_host_cpu_features().flatten()
    return f"{name} {zlib.crc32(features.encode()):08x}, BLAS for {' and '.join(blas_kernels())}"


def describe(dask_worker: Any) -> dict[str, Any]:
    """Facts about a worker, which Dask gives to an argument of this name."""
    return {
        "host": platform.node(),
        "processor": processor(),
        "threads": int(dask_worker.state.nthreads),
        "python": platform.python_version(),
        "distributed": metadata.version("distributed"),
        **versions(),
    }


def sent(dask_worker: Any) -> int:
    """Bytes that a worker has given to others and to the scheduler since it began."""
    return int(dask_worker.transfer_outgoing_bytes_total)


def same(value: Parcel) -> Parcel:
    """The argument: a task whose result the scheduler can have made again when a worker that held it is gone."""
    return value
