"""All parts of a network, followed by whoever has them: this process, or the workers of a cluster."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastntk.engines.path.events import Events
from fastntk.engines.path.joined import joined
from fastntk.engines.path.part import SIZE, Part
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounds import Round, Uncovered
from fastntk.engines.path.shares import Share, summed, unpacked
from fastntk.engines.path.solution import Window
from fastntk.engines.path.start import Kept, Start, octets
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

    @abc.abstractmethod
    def do(self, name: str, *arguments: Any) -> Share:
        """Call this method of every part; returns the sum of their shares."""

    @abc.abstractmethod
    def part_windows(self) -> Sequence[Sequence[Window]]:
        """The windows of every part."""

    def begin(self, problem: PathProblem, reach: np.ndarray) -> tuple[Start, np.ndarray]:
        """Outputs and sums at the start of a window, and the velocity of the outputs."""
        share, n = self.do("begin", reach, problem.scale).added, problem.n
        nothing = Kept(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))
        rows = self.only.rows if self.only else np.zeros((1, octets(n)), np.uint8)
        sums = unpacked(share["sums"], n, problem.scale)
        return Start(share["u"], rows, sums, nothing, reach), share["push"]

    def follow(self, e: np.ndarray, drifts: bool, coarse: float) -> Round:
        """What all neurons do along a path.

        Raises
        ------
        Uncovered
        """
        share = self.do("sweep", e, drifts, coarse)
        added, most = share.added, share.most
        if added["uncovered"]:
            raise Uncovered
        swept = self.only.swept if self.only else None
        if swept is None:
            S = added["S"]
            none = Events(
                np.zeros((len(S), S.shape[1] + 1), np.int64), np.empty(0, np.int32), np.empty(0, np.bool_)
            )
            swept = Swept(
                none, S, np.empty(0), int(added["within"]), float(most["doubt"]), int(most["rank"]), Leaders.none()
            )  # fmt: skip
        return Round(swept, not added["unproven"], int(added["candidates"]), int(added["events"]))

    def windows(self, problem: PathProblem) -> list[Window]:
        """Those of the whole network."""
        firsts, parts = [first for first, _ in cuts(problem.m)], self.part_windows()
        return [joined(problem.n, firsts, windows) for windows in zip(*parts, strict=True)]


class Here(Team):
    """In this process, one part after the other."""

    def __init__(self, problem: PathProblem) -> None:
        self._parts = [Part(section(problem, *cut)) for cut in cuts(problem.m)]

    def do(self, name: str, *arguments: Any) -> Share:
        """Call this method of every part."""
        self._parts = [getattr(part, name)(*arguments) for part in self._parts]
        self.only = self._parts[0] if len(self._parts) == 1 else None
        return summed([part.share for part in self._parts if part.share is not None])

    def part_windows(self) -> Sequence[Sequence[Window]]:
        """Those that are here."""
        return [part.windows for part in self._parts]
