"""What a comparison is: sizes, the two or more sides, the check of the answer, and how work is counted."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

OURS = "fastntk"
NUMPY = "numpy"  # the plain reference, fastntk.reference
BLAS = "blas"  # the fastest NumPy: the whole work in one BLAS call, inputs expanded beforehand
TORCH = "torch"
PLAIN = "plain"  # the same step of training without the extra
DUAL = "dual"  # the same training run by the dual engine, step by step
PRODUCT = "product"  # a part of the work that no method can do without, in one BLAS call


@dataclass(frozen=True)
class Size:
    """Samples, dimension, neurons, precision; a dimension of 0 means that the operation has none."""

    n: int
    m: int
    d: int = 0
    dtype: str = "float32"

    def __str__(self) -> str:
        parts = [f"n={self.n}"]
        parts += [f"d={self.d}"] if self.d else []
        parts += [f"m={self.m}"] if self.m else []
        return " ".join([*parts, self.dtype] if self.dtype != "float32" else parts)


@dataclass(frozen=True)
class Measure:
    """Work of one call in some unit, and the limit of the machine it is compared with (a key of `limits.LIMITS`)."""

    amount: float
    formula: str
    limit: str


@dataclass(frozen=True)
class Side:
    """One way to do the work; `within` is entered around the timed calls, outside the clock."""

    call: Callable[[], Any]
    within: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True)
class Work:
    """A case at one size: inputs are built, nothing has been checked or timed."""

    sides: Mapping[str, Side]
    check: Callable[[], None]  # raises AssertionError where the sides disagree
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Case:
    """A row of the report for each of `sizes`, a benchmark for `small`, and a table of growth where asked for."""

    name: str
    what: str
    against: Mapping[str, str]  # side -> what it does
    prepare: Callable[[Size], Work]
    small: Size
    sizes: tuple[Size, ...]
    floors: Mapping[tuple[Size, str], float] = field(default_factory=dict)
    growth_in_n: tuple[Size, ...] = ()
    growth_in_m: tuple[Size, ...] = ()
