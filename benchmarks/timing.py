"""Rounds in two states of the machine: every side alone, and every side right after the others.

Alone: a pause, one call that is not counted (cores that have slept start slowly), then calls in a row.  The pause
matters: BLAS workers spin for a while after a call and take the cores from whatever runs next.  Interleaved: the sides
take turns, call by call, without a pause, as in a program that uses them all.  Neither state is the true one, so what
is published is the one that is less favourable to us.
"""

import gc
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.case import OURS, Side

ALONE, INTERLEAVED = "alone", "interleaved"
STATES = (ALONE, INTERLEAVED)


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    pause: float = 0.05  # seconds before each side that is to be alone
    at_least: float = 0.1  # seconds a side runs in each round and state: quick calls are repeated
    budget: float = 4.0  # seconds a comparison should take in all
    rounds: tuple[int, int] = (3, 15)


@dataclass(frozen=True)
class Comparison:
    """Seconds per call, one entry a round, of each side in each state."""

    seconds: Mapping[str, Mapping[str, list[float]]]  # state -> side -> rounds
    calls: Mapping[str, int]

    @property
    def rounds(self) -> int:
        return len(self.seconds[ALONE][OURS])

    def slower_state(self) -> str:
        """The state in which our side takes longer."""
        return max(STATES, key=lambda state: statistics.median(self.seconds[state][OURS]))

    def worse_state(self, side: str) -> str:
        """The state in which we look worse beside that side."""
        return min(STATES, key=lambda state: self.ratio(side, state)[0])

    def ratio(self, side: str, state: str) -> tuple[float, float, float]:
        """Median, smallest and largest over rounds of the side's time by ours."""
        pairs = zip(self.seconds[state][side], self.seconds[state][OURS], strict=True)
        ratios = [theirs / ours for theirs, ours in pairs]
        return statistics.median(ratios), min(ratios), max(ratios)


def compare(sides: Mapping[str, Side], plan: Effort) -> Comparison:
    """Time all sides; each has been called before, so that everything is compiled."""
    names = list(sides)
    once = {name: _alone(sides[name], 1, plan.pause) for name in names}
    calls = {name: max(1, math.ceil(plan.at_least / once[name])) for name in names}
    turns = max(1, math.ceil(plan.at_least * len(names) / sum(once.values())))
    a_round = sum((calls[name] + 1) * once[name] + plan.pause + (turns + 1) * once[name] for name in names)
    fewest, most = plan.rounds
    seconds: dict[str, dict[str, list[float]]] = {state: {name: [] for name in names} for state in STATES}
    for number in range(min(max(int(plan.budget / a_round), fewest), most)):
        order = names if number % 2 == 0 else names[::-1]
        for name in order:
            seconds[ALONE][name].append(_alone(sides[name], calls[name], plan.pause))
        for name, mean in _interleaved(sides, order, turns).items():
            seconds[INTERLEAVED][name].append(mean)
    return Comparison(seconds, calls)


def _alone(side: Side, calls: int, pause: float) -> float:
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


def _interleaved(sides: Mapping[str, Side], order: Sequence[str], turns: int) -> dict[str, float]:
    """Seconds per call of each side, in so many turns after one that is not counted."""
    gc.collect()
    spent = dict.fromkeys(order, 0.0)
    for turn in range(turns + 1):
        for name in order:
            with sides[name].within():
                began = time.perf_counter()
                sides[name].call()
                spent[name] += (time.perf_counter() - began) * (turn > 0)
    return {name: total / turns for name, total in spent.items()}
