"""CUDA compilation settings: the only place in the package that imports a CUDA package, and only when it is asked to.

``from fastntk.compilation.jit_cuda import cuda`` gives the module that kernels are written against: that of
`numba-cuda`, or that of its successor `numba-cuda-mlir` where only the latter is installed, or numba-cuda's simulator
when ``NUMBA_ENABLE_CUDASIM=1`` was set before. Kernels keep to what all three know: grid, shared arrays, syncthreads,
popc, atomic additions of integers; no warp operations.

Kernels compiled by numba-cuda are kept on disk (`fastntk.compilation.kernel_cache`).  numba-cuda-mlir does not
recognise kernels that close over device functions, so there nothing is kept.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable
from typing import Any

from fastntk.compilation.kernel_cache import secure
from fastntk.compilation.mends import mended

INSTALL = 'pip install "fastntk[cuda]"'

_SMALL_GRIDS = "NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS"  # of the environment: who sets it is obeyed
# What a kernel may take device functions and constants from.
_SOURCES = ("base/*.py", "compilation/*.py", "kernels/**/*.py")

# Package, module that says it is there, module with the CUDA names.
_PACKAGES = (
    ("numba-cuda", "numba_cuda", "numba.cuda"),
    ("numba-cuda-mlir", "numba_cuda_mlir", "numba_cuda_mlir.cuda"),
)
# Of each: its settings.
_SETTINGS = {
    "numba.cuda": "numba.cuda.core.config",
    "numba_cuda_mlir.cuda": "numba_cuda_mlir.numba_cuda.core.config",
}


def simulated() -> bool:
    """Whether kernels run in numba-cuda's simulator, on the host, thread by thread in Python."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def _installed() -> tuple[str, str] | None:
    """Name and version of the package that is used, and the module with its CUDA names; nothing is imported."""
    for package, marker, module in _PACKAGES[:1] if simulated() else _PACKAGES:
        if importlib.util.find_spec(marker) is not None:
            return f"{package} {importlib.metadata.version(package)}", module
    return None


def package() -> str | None:
    """The CUDA package that is used, with its version, or None."""
    found = _installed()
    return None if found is None else found[0]


def _driver_problem() -> str | None:
    """What keeps the driver from being used, asked of CUDA's own bindings, which both packages bring along."""
    driver = importlib.import_module("cuda.bindings.driver")
    needed = int(importlib.metadata.version("cuda-bindings").partition(".")[0])
    try:
        (status,) = driver.cuInit(0)
        _, version = driver.cuDriverGetVersion()
    except (
        RuntimeError,
        OSError,
    ) as error:  # the bindings look for the driver's library when they are first called
        return f"no NVIDIA driver was found: {error}"
    if version and version // 1000 < needed:
        return (
            f"the NVIDIA driver is too old: it knows CUDA {version // 1000}.{version % 1000 // 10}, but the installed "
            f"CUDA packages need {needed}.0"
        )
    if status == driver.CUresult.CUDA_ERROR_NO_DEVICE:
        return "the NVIDIA driver finds no device"
    if status != driver.CUresult.CUDA_SUCCESS:
        return f"the NVIDIA driver does not start: {status.name}"
    return None


def problem() -> str | None:
    """Why no CUDA device can be used, in words that complete "CUDA cannot be used: ...", or None.

    Examples
    --------
    >>> from fastntk.compilation import jit_cuda
    >>> isinstance(jit_cuda.problem(), str) or jit_cuda.package() is not None
    True
    """
    if _installed() is None:
        wanted = "numba-cuda, for its simulator," if simulated() else "CUDA package"
        return f"no {wanted} is installed: {INSTALL}"
    return None if simulated() else _driver_problem()


def _load() -> Any:
    """The module with the CUDA names."""
    found = _installed()
    if found is None:
        raise ImportError(f"CUDA cannot be used: {problem()}")
    with mended():
        if found[1] == "numba.cuda" and not simulated():
            importlib.import_module("numba.cuda.np.arrayobj")  # else not before the first kernel is compiled
        module = importlib.import_module(found[1])
        _allow_small_grids(_SETTINGS[found[1]])
    return module


def _allow_small_grids(settings: str) -> None:
    """Without a warning at every launch of fewer than 128 blocks: the last step of a sum is one block.

    A filter of warnings does not outlive what `pytest` and others set, nor know the message's colours.
    """
    if _SMALL_GRIDS not in os.environ:
        with contextlib.suppress(ImportError):  # of a version that keeps its settings elsewhere
            found: Any = importlib.import_module(settings)
            found.CUDA_LOW_OCCUPANCY_WARNINGS = 0


def __getattr__(name: str) -> Any:
    if name != "cuda":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["cuda"] = _load()
    return globals()["cuda"]


def kernel(function: Callable[..., Any] | None = None, *, threads: int | None = None) -> Any:
    """Decorator for kernels, launched as ``name[grid, block, stream](...)``; compiled or loaded when first launched.

    ``threads`` is the size of the block of a kernel with many registers: the compiler keeps to what leaves room for it.
    """
    if function is None:
        return lambda f: kernel(f, threads=threads)
    module = __getattr__("cuda")
    options = {} if threads is None or simulated() else {"launch_bounds": threads}
    if not simulated() and module.__name__ == "numba.cuda":
        with contextlib.suppress(RuntimeError):  # no writable place
            found = module.jit(cache=True, **options)(function)
            if secure(found, *_SOURCES):
                return found
    return module.jit(**options)(function)


def device_function(function: Callable[..., Any]) -> Any:
    """Decorator for what kernels call."""
    return __getattr__("cuda").jit(device=True)(function)
