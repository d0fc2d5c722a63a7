"""Gram matrices on a GPU: into an array there that is given, or into a new one of the library of the points."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastntk.base.progress import Progress, reporter
from fastntk.device import checks
from fastntk.device.arrays import give_back, gpu_of, library_of
from fastntk.device.dispatch import DeviceArray


def is_host_target(out: Any) -> bool:
    """Whether `out` is something that the host writes: an array in its memory, or a file."""
    return out is not None and gpu_of(out) is None


def compute_on_gpu(
    shape: tuple[int, int],
    dtype: np.dtype,
    points: Any,
    out: Any,
    progress: Progress,
    compute: Callable[[DeviceArray | None], DeviceArray],
) -> Any:
    """What `compute` writes to its argument, or, given None, to a new array."""
    target = None if out is None else checks.target(out, "out", shape, dtype)
    entries = shape[0] * shape[1]
    with reporter(progress, entries, "Gram matrix", unit="entries") as report:
        found = compute(target)
        report(entries)
    return give_back(found, library_of(points)) if out is None else out
