"""The stages of a run on a GPU, the most important first, and their parts, each of which is a process of its own."""

import os
import sys
from dataclasses import dataclass

EMULATED = "FASTNTK_EMULATED_GPU"
TESTS = (  # integers, then steps, then the rest
    "kernels_conversion", "kernels_plans", "kernels_products", "device_operations",
    "kernels_steps", "kernels_forward", "kernels_motion", "device_training", "device_motion",
    "kernels_gram_sums", "kernels_limit", "kernels_grids", "kernels_views", "device_gram", "device_limit",
    "device_data", "device_copies", "device_benchmarks",
)  # fmt: skip
# Files that compile most, by what each half of their tests compiles.
_HALVES = {"device_training": ("dual", "not dual"), "device_motion": ("dual", "not dual")}
# Seconds of eight minutes that each may take.
CASES = {
    "co-activation counts": 45,
    "training step, dual": 60,
    "masked sums": 35,
    "limit gram": 25,
    "reproduce": 60,
    "gram from W": 30,
    "training step, primal": 35,
    "activation masks": 20,
    "flip count": 15,
}
_FOUND, _SMOKE, _TESTED, _LIMITS = 20, 15, 105, 15


@dataclass(frozen=True)
class GpuPart:
    """A name, the arguments of Python, and whether it is begun again where it broke off."""

    name: str
    arguments: tuple[str, ...]
    resumes: bool = False

    def command(self) -> list[str]:
        """What to run: in a GPU made of host memory where that is asked for, but pytest, which does so itself."""
        emulated = os.environ.get(EMULATED, "0") != "0" and not self.resumes
        return [sys.executable, *(("-m", "tests.cuda.emulation") if emulated else ("-m",)), *self.arguments]


@dataclass(frozen=True)
class Stage:
    """Parts that run side by side, as many as there are cores, and the seconds that they may take together."""

    seconds: float
    parts: tuple[GpuPart, ...]


def _tests(file: str) -> list[GpuPart]:
    """Warnings of other packages' versions are not what such minutes are for."""
    marked = () if os.environ.get(EMULATED, "0") != "0" else ("-m", "gpu")
    tolerant = (f"-Wdefault::{name}" for name in ("DeprecationWarning", "FutureWarning"))
    arguments = ("pytest", "-q", "-p", "benchmarks.gpu_tests", "-p", "no:cacheprovider", *tolerant, *marked)
    path = f"tests/cuda/test_{file}.py"
    if file not in _HALVES:
        return [GpuPart(f"tests: {file}", (*arguments, path), resumes=True)]
    return [
        GpuPart(f"tests: {file}, {half}", (*arguments, path, "-k", half), resumes=True)
        for half in _HALVES[file]
    ]


def stages(minutes: float, quick: bool, tests: bool) -> list[Stage]:
    """All of them in their order, with their share of the minutes.

    Tests wait for the compiler of kernels, which takes one core: one file after the other takes ten minutes on an H100.
    """
    scale = minutes / 8
    small = ("--quick",) if quick else ()
    found = [
        Stage(max(45, _FOUND * scale), (GpuPart("found", ("benchmarks.gpu_found",)),)),
        Stage(max(20, _SMOKE * scale), (GpuPart("smoke", ("benchmarks.gpu_smoke",)),)),
    ]
    if tests:
        found.append(Stage(_TESTED * scale, tuple(part for file in TESTS for part in _tests(file))))
    found.append(Stage(max(20, _LIMITS * scale), (GpuPart("limits", ("benchmarks.gpu_limits", *small)),)))
    for name, seconds in CASES.items():
        limit = max(15, seconds * scale)
        found.append(Stage(limit, (GpuPart(name, ("benchmarks.gpu_measure", name, str(limit), *small)),)))
    return found
