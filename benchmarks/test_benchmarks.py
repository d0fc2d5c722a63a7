"""``pytest benchmarks``: every comparison at a small size, one benchmark a side, grouped by comparison."""

from typing import Any

import pytest

from . import with_torch
from .case import BLAS, DUAL, NUMPY, OURS, PLAIN, TORCH, Case
from .cases import CASES

WANTED = (NUMPY, BLAS, PLAIN, DUAL, *((TORCH,) if with_torch.available() else ()))

SIDES = [
    pytest.param(case, side, id=f"{case.name}-{side}")
    for case in CASES
    for side in (OURS, *WANTED)
    if side == OURS or side in case.against
]


@pytest.mark.parametrize(("case", "side"), SIDES)
def test_side(benchmark: Any, case: Case, side: str) -> None:
    work = case.prepare(case.small)
    work.check()
    benchmark.group = f"{case.name} {case.small}"
    benchmark.extra_info["checked"] = True
    with work.sides[side].within():
        benchmark(work.sides[side].call)
