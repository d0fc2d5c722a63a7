"""The machine that was measured, as the system knows it, and what forces its BLAS."""

import os
from collections.abc import Mapping
from typing import Any

from fastntk.base.processor import caches, description

# Variables by which a BLAS runs another kernel, or other blocks, than it would choose for the processor, or by which
# its threads rest sooner than by default, which speeds up what follows a product.
FORCING = (
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "BLIS_ARCH_TYPE", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE",
    "MKL_CBWR", "OPENBLAS_THREAD_TIMEOUT",
)  # fmt: skip


def forced() -> dict[str, str]:
    """The variables that force the BLAS, with their values."""
    return {name: os.environ[name] for name in FORCING if name in os.environ}


def warning(variables: Mapping[str, str]) -> str:
    """What is said of them, first of all."""
    values = " ".join(f"{name}={value}" for name, value in variables.items())
    return f"BLAS is forced by {values}: it may not run its kernel for this processor; ratios may flatter fastntk"


def facts() -> dict[str, Any]:
    """Name and caches of the processor, and what forces the BLAS, JSON-able."""
    return {**description(), "caches": caches(), "forced": forced()}


def name(report: Mapping[str, Any]) -> str:
    """Processor with family and model, which tell apart what has one name."""
    known = report["processor"]
    numbers = [f"{key} {known[key]}" for key in ("family", "model") if key in known]
    return report["environment"]["cpu"] + (f" ({', '.join(numbers)})" if numbers else "")


def cache_sizes(report: Mapping[str, Any]) -> str:
    """Caches that hold data."""
    sizes = [f"{level} {_size(count)}" for level, count in report["processor"]["caches"].items()]
    return ", ".join(sizes) or "not told by the system"


def blas(report: Mapping[str, Any]) -> str:
    """Every BLAS with the kernel it runs, and whether that was forced."""
    pools = {
        f"{pool['internal_api']} {pool['version']} running its {pool['architecture']} kernel"
        for pool in report["environment"]["blas"]
    }
    variables = report["processor"]["forced"]
    how = ", forced by " + ", ".join(variables) if variables else ", as it chose itself"
    return ", ".join(sorted(pools)) + how


def _size(count: int) -> str:
    return f"{count // 2**20} MiB" if count % 2**20 == 0 else f"{count // 2**10} KiB"
