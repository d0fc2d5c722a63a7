"""What made a result: data, software, machine, threads. Plain dictionaries that JSON can hold.

Nothing here imports a heavy library: versions are read from the installed metadata, and the state of Numba
(threads, threading layer) only when Numba has been loaded by the work itself. No host name, user name or path
is recorded.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

from fastntk.base.version import package_version

__all__ = ["collect", "data_hash", "describe_data", "environment"]

_LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "tbb", "numba-cuda", "numba-cuda-mlir")


def _installed(name: str) -> str | None:
    """Installed version of a distribution, None without it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def data_hash(*arrays: Any) -> str:
    """SHA-256 over shape, dtype and bytes of each array: equal exactly when the data are.

    Parameters
    ----------
    *arrays : array_like
        Usually ``X (n, d)`` and ``y (n,)``, any dtype; memory order and byte order do not matter.

    Returns
    -------
    str
        64 hexadecimal digits.

    Notes
    -----
    Cost: one pass, about 1 ms per MB. The values are hashed as they are, so float32 and float64 copies of the
    same numbers differ, and so do 0.0 and -0.0.

    Examples
    --------
    >>> X, y = np.eye(2), np.ones(2)
    >>> data_hash(X, y) == data_hash(np.asfortranarray(X), y)
    True
    >>> data_hash(X, y) == data_hash(X, -y)
    False
    """
    digest = hashlib.sha256()
    for item in arrays:
        array = np.asarray(item)
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(array.tobytes() if array.ndim == 0 else array.view(np.uint8).data)
    return digest.hexdigest()


def describe_data(X: Any, y: Any) -> dict[str, Any]:
    """Shape, dtype and hash of a data set.

    Examples
    --------
    >>> describe_data(np.eye(2), np.ones(2))["n"]
    2
    """
    X, y = np.asarray(X), np.asarray(y)
    return {"n": int(X.shape[0]), "d": int(X.shape[-1]), "dtype": str(X.dtype), "sha256": data_hash(X, y)}


def environment() -> dict[str, Any]:
    """Software, machine and threads of this process.

    Returns
    -------
    dict
        ``fastntk``, ``python``, ``versions`` (installed libraries), ``platform``, ``machine``, ``cpu``,
        ``cores`` (usable by this process), ``memory_bytes``, ``threads`` and ``threading_layer`` (None before
        Numba ran anything in parallel), ``blas`` (one entry per loaded BLAS), ``created`` (UTC).

    Examples
    --------
    >>> sorted(environment())[:3]
    ['blas', 'cores', 'cpu']
    """
    threads, layer = _numba_state()
    return {
        "fastntk": package_version(),
        "python": platform.python_version(),
        "versions": {name: version for name in _LIBRARIES if (version := _installed(name))},
        "platform": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cores": _usable_cores(),
        "memory_bytes": _memory_bytes(),
        "threads": threads,
        "threading_layer": layer,
        "blas": _blas(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def collect(X: Any = None, y: Any = None, **settings: Any) -> dict[str, Any]:
    """One provenance record: the settings given, the data's description and the environment.

    Parameters
    ----------
    X, y : array_like, optional
        The data as the user passed them.
    **settings
        JSON-able facts of the run (width, lr, seed, steps, engine, ...), stored under their own names.

    Returns
    -------
    dict

    Examples
    --------
    >>> record = collect(np.eye(2), np.ones(2), width=8, seed=0)
    >>> record["width"], record["data"]["d"]
    (8, 2)
    """
    record = dict(settings)
    if X is not None and y is not None:
        record["data"] = describe_data(X, y)
    record["environment"] = environment()
    return record


def _numba_state() -> tuple[int | None, str | None]:
    """Thread count and threading layer of Numba, if the work so far has loaded it."""
    if "numba" not in sys.modules:
        return None, None
    from fastntk.compilation import launch, process

    layer = process.threading_layer()
    try:
        return launch.current_threads(), layer
    except RuntimeError:  # a forked child in which no kernel can run
        return None, layer


def _usable_cores() -> int:
    """Cores this process may run on (a container or taskset may allow fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    """Return the processor's marketing name where the system tells it, else its architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.lower().startswith(("model name", "hardware")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    """Physical memory, None where the system does not tell."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return None


def _blas() -> list[dict[str, Any]]:
    """List the BLAS libraries loaded in this process: NumPy and SciPy may bring one each."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    keys = ("internal_api", "version", "architecture", "num_threads")
    return [
        {key: pool.get(key) for key in keys} for pool in threadpool_info() if pool.get("user_api") == "blas"
    ]
