"""What there is to compute on: the device, the libraries of CUDA, and the others that are measured beside ours."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

from benchmarks import gpu_record

# Of the CUDA toolkit: what the compiler of kernels needs, and what makes products fast.
_LIBRARIES = ("nvvm", "nvrtc", "nvJitLink", "cudart")


def _device() -> Any:
    from benchmarks import gpu_limits

    return dataclasses.asdict(gpu_limits.device())


def _toolkit(name: str) -> Any:
    return importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib(name).abs_path


def _cublas() -> Any:
    from fastntk.kernels.cuda import vendor

    return "found" if vendor.library() is not None else "not found: own kernels multiply"


def _libraries() -> Any:
    from benchmarks.gpu_sides import Library

    return {library.name: library.version for library in Library.installed()}


def _environment() -> Any:
    from fastntk.results import provenance

    return provenance.environment()


def main() -> None:
    """Record each, found or not; what cannot even be asked for is recorded with its reason."""
    looks: dict[str, Callable[[], Any]] = {"device": _device, "environment": _environment, "cublas": _cublas}
    looks |= {name: lambda name=name: _toolkit(name) for name in _LIBRARIES}
    looks["libraries"] = _libraries
    for name, look in looks.items():
        try:
            gpu_record.add(**{name: look()})
        except BaseException as error:  # whatever a broken installation raises
            gpu_record.add(missing=name, text=f"{type(error).__name__}: {error}"[:500])


if __name__ == "__main__":
    main()
