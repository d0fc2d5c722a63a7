"""Which engine ``auto`` takes, and why: a cost model in multiply-adds.

A step of the dual engine is ``n^2 m`` of the bits-times-dense product; one of the primal engine is ``n d m`` of it and
``n d m`` of BLAS.  The table product does about `TABLES_PER_BLAS` multiply-adds in the time BLAS needs for one, so

    dual / primal = n / (d (1 + TABLES_PER_BLAS)).

The faster one is taken unless only the other one fits in memory.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import available_bytes
from fastntk.device import driver
from fastntk.device.dispatch import backend
from fastntk.engines.dual import DualEngine
from fastntk.engines.interface import PLAIN, Engine, Motion
from fastntk.engines.primal import PrimalEngine

CHOICES = ("auto", "dual", "primal", "cuda")

TABLES_PER_BLAS = 4.0  # one core of a Zen 4, float32: 204 against 50 billion multiply-adds a second


@dataclasses.dataclass(frozen=True)
class Choice:
    """Name of the engine and the reason in one sentence."""

    name: str
    reason: str


def choose(
    n: int,
    d: int,
    width: int,
    dtype: npt.DTypeLike = "float32",
    engine: str = "auto",
    motion: Motion = PLAIN,
) -> Choice:
    """Choose an engine for n samples of dimension d and the given width.

    Parameters
    ----------
    n, d, width : int
        Samples, dimension, neurons.
    dtype : {"float32", "float64"}
        Precision.
    engine : {"auto", "dual", "primal", "cuda"}
        "dual" and "primal" are taken as they are; "cuda" is the one of them that "auto" would take if the memory were
        that of the GPU, there.
    motion : Motion
        What moves and how, which decides the memory.

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
    >>> from fastntk.engines import choose
    >>> choose(1000, 1000, 8000).name, choose(4000, 500, 8000).name
    ('dual', 'primal')
    """
    name = checks.choice(engine, "engine", CHOICES)
    if name in ("dual", "primal"):
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
    if needed[faster] > available and needed[other] <= available:
        return Choice(
            other,
            f"{place}{faster} would be faster ({reason}) but needs {needed[faster] / 2**30:.3g} GiB of memory",
        )
    return Choice(faster, f"{place}{reason}: {faster} does less work a step")


def gpu_engines() -> tuple[type[Engine], type[Engine]]:
    """The dual and the primal engine of the GPU, loaded when they are wanted; DeviceError where it cannot be used."""
    with backend() as gpu:
        return gpu.engines


def engine_of(choice: Choice) -> type[Engine]:
    """The class of a choice."""
    kinds = (DualEngine, PrimalEngine) if choice.name in ("dual", "primal") else gpu_engines()
    return next(kind for kind in kinds if kind.name == choice.name)
