"""Which engine ``auto`` takes, and why: a cost model in multiply-adds.

A step of the dual engine is ``n^2 m`` of the bits-times-dense product; one of the primal engine is ``n d m`` of it and
``n d m`` of BLAS.  The table product does about `TABLES_PER_BLAS` multiply-adds in the time BLAS needs for one, so

    dual / primal = n / (d (1 + TABLES_PER_BLAS)).

The faster one is taken unless only the other one fits in memory.

The path engine makes all steps of full-batch descent of the first layer at once.  It passes over all entries a few
times, whatever the number of steps; each step then costs work on entries near zero, of order ``n sqrt(m)``, and more of
them where rows are many for their dimension.  In steps of the dual engine, a run costs it

    PATH_PASSES + PATH_STEP steps ((1 + n / d) / 2)^(3/4) / sqrt(m) + (PATH_CALL + PATH_CALLS steps) / (n^2 m),

the last part for calls and small matrices.  Momentum multiplies all of it by `PATH_MOMENTUM`: more patterns change, and
more rounds are needed.  The path engine is taken where that is less by the factor `PATH_MARGIN` (rounds differ
from run to run) and the step size at most `PATH_SPEED` of the largest stable one (beyond, patterns change so often that
it needs windows of few steps), or where nothing else fits in memory; never where it does not fit itself.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import available_bytes
from fastntk.device import driver
from fastntk.device.dispatch import backend
from fastntk.engines.dual import DualEngine
from fastntk.engines.interface import Engine
from fastntk.engines.linearised import Linearised
from fastntk.engines.motion import CHOICES, PLAIN, Motion
from fastntk.engines.path import PathEngine
from fastntk.engines.primal import PrimalEngine
from fastntk.model.network import TwoLayerReLU

ENGINES: dict[str, type[Engine]] = {"dual": DualEngine, "primal": PrimalEngine}
"""The engines that make a run step by step on the host."""

GPU_ENGINES: list[type[Engine]] = []
"""The dual and the primal engine of a GPU, once the backend is loaded, which adds them."""

TABLES_PER_BLAS = 4.0  # one core of a Zen 4, float32: 204 against 50 billion multiply-adds a second

PATH_PASSES = 8.0  # these six on two cores of a Zen 5, float32, n = 200 ... 1000, d = 100 ... 1000
PATH_STEP = 40.0
PATH_CALL, PATH_CALLS = 1e10, 1e8
PATH_MOMENTUM = 5.0
PATH_MARGIN = 1.3
PATH_SPEED = 0.5


@dataclasses.dataclass(frozen=True)
class Choice:
    """Name of the engine and the reason in one sentence."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Course:
    """A run that the path engine can do: its steps, and the step size over the largest stable one."""

    steps: int
    speed: float = 0.0


def choose(
    n: int,
    d: int,
    width: int,
    dtype: npt.DTypeLike = "float32",
    engine: str = "auto",
    motion: Motion = PLAIN,
    course: Course | None = None,
) -> Choice:
    """Choose an engine for n samples of dimension d and the given width.

    Parameters
    ----------
    n, d, width : int
        Samples, dimension, neurons.
    dtype : {"float32", "float64"}
        Precision.
    engine : {"auto", "dual", "primal", "path", "cuda"}
        "dual", "primal" and "path" are taken as they are; "cuda" is the one of the first two that "auto" would take if
        the memory were that of the GPU, there.
    motion : Motion
        What moves and how, which decides the memory.
    course : Course, optional
        Without it "auto" does not take the path engine.

    Returns
    -------
    Choice

    Raises
    ------
    ValueError
        If ``engine`` is unknown.
    DeviceError
        If it is "cuda" and no GPU can be used.

    Examples
    --------
    >>> from fastntk.engines.choice import Course, choose
    >>> choose(1000, 1000, 8000).name, choose(4000, 500, 8000).name
    ('dual', 'primal')
    >>> choose(1000, 1000, 100_000, course=Course(steps=100)).name
    'path'
    """
    name = checks.choice(engine, "engine", CHOICES)
    if name in ("dual", "primal", "path"):
        return Choice(name, "asked for")
    kinds: tuple[type[Engine], type[Engine]] = DualEngine, PrimalEngine
    available, place = float(available_bytes()), ""
    if name == "cuda":
        kinds = gpu_engines()
        available, place = driver.available_bytes(), f"on {driver.device_name()}: "
    itemsize = np.dtype(dtype).itemsize
    ratio = n / (d * (1.0 + TABLES_PER_BLAS))
    dual, primal = kinds
    faster, other = (dual.name, primal.name) if ratio <= 1.0 else (primal.name, dual.name)
    needed = {kind.name: kind.bytes_needed(n, d, width, itemsize, motion) for kind in kinds}
    relation = "<=" if ratio <= 1.0 else ">"
    reason = f"n = {n} {relation} {1 + TABLES_PER_BLAS:g} d = {(1 + TABLES_PER_BLAS) * d:g}"
    if name == "auto" and course is not None and PathEngine.bytes_needed(n, d, width, itemsize) <= available:
        path, stepwise = path_cost(n, d, width, course.steps, motion.momentum), course.steps / max(ratio, 1.0)
        text = f"{course.steps} steps at once cost as much as {path:.0f} of the dual engine"
        if course.speed <= PATH_SPEED and PATH_MARGIN * path < stepwise:
            return Choice("path", f"{text}, and {faster} as {stepwise:.0f}")
        weights = width * d * itemsize
        if min(needed.values()) + weights > available:
            least = (min(needed.values()) + weights) / 2**30
            return Choice("path", f"{text}; dual and primal need {least:.3g} GiB of memory or more")
    if needed[faster] > available and needed[other] <= available:
        return Choice(
            other,
            f"{place}{faster} would be faster ({reason}) but needs {needed[faster] / 2**30:.3g} GiB of memory",
        )
    return Choice(faster, f"{place}{reason}: {faster} does less work a step")


def path_cost(n: int, d: int, width: int, steps: int, momentum: bool = False) -> float:
    """Of a run of the path engine, in steps of the dual engine."""
    near = ((1.0 + n / d) / 2.0) ** 0.75 / width**0.5
    plain = PATH_PASSES + PATH_STEP * steps * near + (PATH_CALL + PATH_CALLS * steps) / (n * n * width)
    return PATH_MOMENTUM * plain if momentum else plain


def gpu_engines() -> tuple[type[Engine], type[Engine]]:
    """The dual and the primal engine of the GPU, loaded when they are wanted; DeviceError where it cannot be used."""
    with backend():
        dual, primal = GPU_ENGINES
        return dual, primal


def linearise(X: np.ndarray, net: TwoLayerReLU, engine: str) -> Linearised:
    """A `Linearised` of data in host memory, on a GPU if the engine is "cuda"; DeviceError where none can be used."""
    kind = gpu_engines()[0] if engine == "cuda" else DualEngine
    return kind.linearised(X, net)


def engine_of(choice: Choice) -> type[Engine]:
    """The class of a choice."""
    host: tuple[type[Engine], ...] = DualEngine, PrimalEngine, PathEngine
    kinds = gpu_engines() if choice.name.startswith("cuda") else host
    return next(kind for kind in kinds if kind.name == choice.name)
