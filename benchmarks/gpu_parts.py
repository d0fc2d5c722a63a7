"""The parts of a run on a GPU, the most important first; each is a process of its own."""

import os
import sys
from dataclasses import dataclass

EMULATED = "FASTNTK_EMULATED_GPU"
TESTS = {
    "integers": ("kernels_conversion", "kernels_plans", "kernels_products", "device_operations"),
    "steps": ("kernels_steps", "kernels_forward", "kernels_motion", "device_training", "device_motion"),
    "the rest": (
        "kernels_gram_sums", "kernels_limit", "kernels_grids", "kernels_views", "device_gram", "device_limit",
        "device_data", "device_copies", "device_benchmarks",
    ),
}  # fmt: skip
# Seconds of eight minutes that each may take.
CASES = {
    "co-activation counts": 50,
    "training step, dual": 70,
    "masked sums": 45,
    "limit gram": 35,
    "reproduce": 60,
    "gram from W": 40,
    "training step, primal": 50,
    "activation masks": 35,
    "flip count": 35,
}


@dataclass(frozen=True)
class Part:
    """A name, the arguments of Python, the seconds it may take, and whether it is begun again where it broke off."""

    name: str
    arguments: tuple[str, ...]
    seconds: float
    resumes: bool = False

    def command(self) -> list[str]:
        """What to run: in a GPU made of host memory where that is asked for, but pytest, which does so itself."""
        emulated = os.environ.get(EMULATED, "0") != "0" and not self.resumes
        return [sys.executable, *(("-m", "tests.cuda.emulation") if emulated else ("-m",)), *self.arguments]


def _tests(name: str, files: tuple[str, ...], seconds: float) -> Part:
    """Warnings of other packages' versions are not what such minutes are for."""
    marked = () if os.environ.get(EMULATED, "0") != "0" else ("-m", "gpu")
    tolerant = (f"-Wdefault::{name}" for name in ("DeprecationWarning", "FutureWarning"))
    arguments = ("pytest", "-q", "-p", "benchmarks.gpu_tests", "-p", "no:cacheprovider", *tolerant, *marked)
    return Part(
        f"tests: {name}", (*arguments, *(f"tests/cuda/test_{file}.py" for file in files)), seconds, True
    )


def parts(minutes: float, quick: bool, tests: bool) -> list[Part]:
    """All of them in their order, with their share of the minutes."""
    scale = minutes / 8
    small = ("--quick",) if quick else ()
    found = [
        Part("found", ("benchmarks.gpu_found",), max(45, 45 * scale)),
        Part("smoke", ("benchmarks.gpu_smoke",), max(20, 20 * scale)),
    ]
    if tests:
        shares = zip(TESTS.items(), (80, 80, 60), strict=True)
        found += [_tests(name, files, seconds * scale) for (name, files), seconds in shares]
    found.append(Part("limits", ("benchmarks.gpu_limits", *small), max(20, 25 * scale)))
    for name, seconds in CASES.items():
        limit = max(15, seconds * scale)
        found.append(Part(name, ("benchmarks.gpu_measure", name, str(limit), *small), limit))
    return found
