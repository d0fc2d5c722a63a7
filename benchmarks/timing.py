"""Interleaved rounds: every side once a round, in alternating order, after a pause.

The pause matters: BLAS workers spin for a while after a call and would take the cores from whatever runs next,
which was measured to slow it down twofold.  One call that is not counted follows it: cores that have slept start
slowly.
"""

import gc
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.case import OURS, Side


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    pause: float = 0.05  # seconds before each side
    at_least: float = 0.15  # seconds a side runs in each round: quick calls are repeated
    budget: float = 4.0  # seconds a comparison should take in all
    rounds: tuple[int, int] = (3, 15)


@dataclass(frozen=True)
class Comparison:
    """Seconds per call, one entry a round and side."""

    seconds: Mapping[str, list[float]]
    calls: Mapping[str, int]

    @property
    def rounds(self) -> int:
        return len(self.seconds[OURS])

    def median(self, side: str) -> float:
        return statistics.median(self.seconds[side])

    def ratio(self, side: str) -> tuple[float, float, float]:
        """Median, smallest and largest over rounds of the side's time by ours."""
        ratios = [theirs / ours for theirs, ours in zip(self.seconds[side], self.seconds[OURS], strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def compare(sides: Mapping[str, Side], plan: Plan) -> Comparison:
    """Time all sides; each has been called before, so that everything is compiled."""
    names = list(sides)
    once = {name: _seconds(sides[name], 1, plan.pause) for name in names}
    calls = {name: max(1, math.ceil(plan.at_least / once[name])) for name in names}
    a_round = sum(calls[name] * once[name] + plan.pause for name in names)
    fewest, most = plan.rounds
    rounds = min(max(int(plan.budget / a_round), fewest), most)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            seconds[name].append(_seconds(sides[name], calls[name], plan.pause))
    return Comparison(seconds, calls)


def _seconds(side: Side, calls: int, pause: float) -> float:
    """Seconds per call of `calls` calls in a row."""
    call = side.call
    gc.collect()
    time.sleep(pause)
    with side.within():
        call()
        began = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - began) / calls
