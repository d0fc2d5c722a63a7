"""All parts of a network, followed by whoever has them: this process, or the workers of a cluster."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.engines.path.base import Base
from fastntk.engines.path.drag import Drag
from fastntk.engines.path.events import Events
from fastntk.engines.path.joined import joined, joined_base
from fastntk.engines.path.meter import Meter
from fastntk.engines.path.part import SIZE, Part
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounds import Round, Unreachable
from fastntk.engines.path.schedule import Schedule
from fastntk.engines.path.shares import Share, summed, unpacked
from fastntk.engines.path.solution import Window
from fastntk.engines.path.start import NOTHING, Start, octets
from fastntk.engines.path.sweeps import Leaders, Swept

__all__ = ["Here", "Team", "cuts", "section"]


def cuts(m: int) -> list[tuple[int, int]]:
    """First neuron of each part, and the one after its last."""
    return [(first, min(first + SIZE, m)) for first in range(0, m, SIZE)]


def section(problem: PathProblem, first: int, last: int) -> PathProblem:
    """The problem of a part."""
    if (first, last) == (0, problem.m):
        return problem
    return problem.sharing(
        problem.a[first:last], lambda i, j: problem.weights(first + i, first + j), problem.m
    )


class Team(abc.ABC):
    """Every method is a step of all parts at once."""

    only: Part | None = None
    """The part, if there is but one and it is at hand."""

    meter = Meter()
    """Is told what is done of a step."""

    sums: np.ndarray
    """Those of the whole network at the start of the window that has begun."""

    @abc.abstractmethod
    def do(self, name: str, *arguments: Any) -> Share:
        """Call this method of every part; returns the sum of their shares."""

    @abc.abstractmethod
    def part_windows(self) -> Sequence[Sequence[Window]]:
        """The windows of every part."""

    @abc.abstractmethod
    def rows_of(self, number: int) -> np.ndarray:
        """The pattern of all neurons at the start of a window."""

    @abc.abstractmethod
    def ends(self) -> Sequence[Base]:
        """How far the weights of every part have come."""

    def begin(self, problem: PathProblem, reach: np.ndarray) -> tuple[Start, np.ndarray]:
        """Outputs and sums at the start of a window, and the velocity of the outputs."""
        share, n = self.do("begin", reach, problem.scale).added, problem.n
        rows = self.only.rows if self.only else np.zeros((1, octets(n)), np.uint8)
        self.sums = unpacked(share["sums"], n, problem.scale)
        return Start(share["u"], rows, self.sums, NOTHING, reach), share["push"]

    def follow(self, schedule: Schedule, e: np.ndarray, drifts: bool, coarse: float) -> Round:
        """What all neurons do along a path.

        Raises
        ------
        Unreachable
        """
        self.meter.stage()
        share = self.do("sweep", schedule, e, drifts, coarse)
        added, most = share.added, share.most
        if added["unreachable"]:
            raise Unreachable
        swept = self.only.swept if self.only else None
        if swept is None:
            S = added["S"]
            none = Events(
                np.zeros((len(S), S.shape[1] + 1), np.int64), np.empty(0, np.int32), np.empty(0, np.bool_)
            )
            swept = Swept(
                none, S, np.empty(0), int(added["within"]), float(most["doubt"]), int(most["rank"]),
                replace(Leaders.none(), best=most["best"]), Drag(e.astype(np.float64), added["pushes"]),
            )  # fmt: skip
        return Round(swept, not added["unproven"], int(added["candidates"]))

    def windows(self, problem: PathProblem, sums: Sequence[np.ndarray]) -> list[Window]:
        """Those of the whole network, whose sums at their starts are given."""
        parts = self.part_windows()
        if len(parts) == 1:
            return list(parts[0])
        firsts = [first for first, _ in cuts(problem.m)]
        found: list[Window] = []
        for number, windows in enumerate(zip(*parts, strict=True)):
            rows = self.rows_of(number)
            base = joined_base(
                problem.n, firsts, [one.base for one in windows], found[0].base.rows if found else rows
            )
            found.append(joined(problem.n, firsts, windows, sums[number], rows, base))
        return found

    def end(self, problem: PathProblem) -> Base:
        """How far the weights of all neurons have come."""
        ends = self.ends()
        if len(ends) == 1:
            return ends[0]
        return joined_base(problem.n, [first for first, _ in cuts(problem.m)], ends, self.rows_of(0))


class Here(Team):
    """In this process, one part after the other."""

    def __init__(self, problem: PathProblem) -> None:
        self._parts = [Part(section(problem, *cut)) for cut in cuts(problem.m)]
        self._shape = problem.m, octets(problem.n)
        self._rows: list[np.ndarray] = []  # of each window, of all neurons
        self._rooms: list[list[np.ndarray]] = [[] for _ in self._parts]  # views of them, of each part

    def do(self, name: str, *arguments: Any) -> Share:
        """Call this method of every part."""
        if name == "begin":
            rows = aligned_zeros(self._shape, np.uint8)
            self._rows.append(rows)
            for number, rooms in enumerate(self._rooms):
                rooms.append(rows[self._cut(number)])
                self._parts[number] = self._parts[number].now(room=rooms[-1])
        share = summed(self._each(name, arguments))
        self.only = self._parts[0] if len(self._parts) == 1 else None
        return share

    def _each(self, name: str, arguments: tuple[Any, ...]) -> Iterator[Share]:
        for number in range(len(self._parts)):
            after = self._after(number, name, arguments)
            self._parts[number] = after.now(share=None)
            self.meter((number + 1) / len(self._parts))
            assert after.share is not None
            yield after.share

    def _after(self, number: int, name: str, arguments: tuple[Any, ...]) -> Part:
        """A part after one of its methods."""
        found: Part = getattr(self._parts[number], name)(*arguments)
        return found

    def _cut(self, number: int) -> slice:
        return slice(*cuts(self._shape[0])[number])

    def part_windows(self) -> Sequence[Sequence[Window]]:
        """Those that are here."""
        return [part.windows for part in self._parts]

    def rows_of(self, number: int) -> np.ndarray:
        """The pattern at the start of a window."""
        return self._rows[number]

    def ends(self) -> Sequence[Base]:
        """How far the weights of the parts have come."""
        return [part.base for part in self._parts if part.base is not None]
