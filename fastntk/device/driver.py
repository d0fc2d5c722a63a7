"""The driver of the GPU: whether there is one, what it has free, and its errors as errors of this package."""

import contextlib
import functools
import traceback
from collections.abc import Iterator
from typing import Any

from fastntk.base.errors import DeviceError, MemoryLimitError
from fastntk.compilation import jit_cuda


@functools.cache
def require() -> Any:
    """The CUDA module; DeviceError, which says what is missing, where it cannot be used."""
    problem = jit_cuda.problem()
    if problem is not None:
        raise DeviceError(f"CUDA cannot be used: {problem}")
    return jit_cuda.cuda


def available_bytes() -> float:
    """Memory of the GPU that is free."""
    return float(require().current_context().get_memory_info().free)


def device_name() -> str:
    """Name of the GPU in use."""
    if jit_cuda.simulated():
        return "simulator"
    name = require().get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


def state() -> str:
    """What there is to compute on, or what is missing, in one line."""
    problem = jit_cuda.problem()
    if problem is not None:
        return f"not usable: {problem}"
    version = ".".join(map(str, require().get_current_device().compute_capability))
    free = "" if jit_cuda.simulated() else f", {available_bytes() / 2**30:.1f} GiB free"
    return f"{device_name()}, compute capability {version}{free}, {jit_cuda.package()}"


def require_memory(needed: int, what: str) -> None:
    """Raise `MemoryLimitError` naming both sizes if ``needed`` bytes of the GPU are not free for ``what``."""
    available = available_bytes()
    if needed > available:
        raise MemoryLimitError(
            f"{what} needs {needed} bytes ({needed / 2**30:.3g} GiB) of the GPU's memory, but only "
            f"{available:.0f} ({available / 2**30:.3g} GiB) are available"
        )


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Around work on the GPU: waits for it, turns its errors into typed ones, frees what failed work had allocated."""
    try:
        yield
        require().synchronize()
    except BaseException as error:
        # What the frames of the failed work hold would live as long as the error does.
        traceback.clear_frames(error.__traceback__)
        _free_pending()
        typed = _typed(error)
        if typed is None:
            raise
        raise typed from error


def _free_pending() -> None:
    """Numba frees memory some time after its last use; other libraries may want it now."""
    if require.cache_info().currsize:
        pending = getattr(require().current_context(), "deallocations", None)
        if pending is not None:
            pending.clear()


def _typed(error: BaseException) -> Exception | None:
    """An error of the driver or the compiler as one of this package, None for all others."""
    library = type(error).__module__.partition(".")[0]
    if library not in ("numba", "numba_cuda", "numba_cuda_mlir", "cuda"):
        return None
    text = " ".join(str(error).split())
    if "OUT_OF_MEMORY" in text.upper().replace(" ", "_"):
        return MemoryLimitError(f"the GPU is out of memory: {text}")
    return DeviceError(f"the GPU failed: {text}")
