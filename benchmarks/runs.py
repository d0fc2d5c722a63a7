"""Cases of whole training runs by the path engine, against the dual engine, which takes one step after the other."""

from typing import Any

import numpy as np

import fastntk
from benchmarks.case import DUAL, OURS, Case, Measure, Side, Size, Work
from benchmarks.inputs import close, data
from benchmarks.steps import LR

_STEPS = 100
_FEW = ("loss", "flips", "drift")
_TOLERANCES = {"loss": 1e-3, "drift": 1e-3, "gram_change": 0.05, "lambda_min": 1e-3}
_NARROW, _WIDE = Size(1000, 8000, 1000), Size(1000, 32768, 1000)


def _work(metrics: Any, size: Size) -> Work:
    X, y = data(size)
    last: dict[str, Any] = {}

    def side(engine: str) -> Side:
        def train() -> None:
            last[engine] = fastntk.train(
                X, y, width=size.m, dtype=size.dtype, steps=_STEPS, lr=LR, metrics=metrics, engine=engine
            )

        return Side(train)

    sides = {OURS: side("path"), DUAL: side("dual")}

    def check() -> None:
        """Compare all series; float32 decides a few signs near zero in another way, which the norm shows."""
        for each in sides.values():
            each.call()
        found, expected = last["path"], last["dual"]
        for name, tolerance in _TOLERANCES.items():
            if getattr(expected, name) is not None:
                close(getattr(found, name), getattr(expected, name), name, tolerance)
        if np.abs(found.flips - expected.flips).max() > 1e-4:
            raise AssertionError("flips differ")

    limit = "sgemm" if size.dtype == "float32" else "dgemm"
    product = Measure(2.0 * size.n * size.d * size.m, "2 n d m flops of one forward product", limit)
    return Work(sides, check, (product,))


PATH = Case(
    "training run, path",
    f"{_STEPS} steps by the path engine, drawing the weights and all of `train` included; loss, flips, drift",
    {DUAL: "the same call with engine='dual'"},
    lambda size: _work(_FEW, size),
    Size(200, 2000, 200),
    (_NARROW, _WIDE),
    {(_NARROW, DUAL): 2.0, (_WIDE, DUAL): 3.0},
)

FULL = Case(
    "training run with all metrics, path",
    "the same with the Gram matrix and the smallest eigenvalue at every step",
    PATH.against,
    lambda size: _work("all", size),
    Size(200, 2000, 200),
    (_NARROW,),
)
