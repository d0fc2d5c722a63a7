"""The parts of a network on the workers of a cluster: a part is made, stays and is followed on one of them.

A worker gets the seed and the range of its neurons, the samples once, and in each round the residuals of all steps; it
gives back the sum of the shares of its parts.  Where it dies, Dask repeats all of this elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastntk.distributed import Task, Workers
from fastntk.engines.path.base import Base
from fastntk.engines.path.part import Part
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.shares import Share, groups_of, summed
from fastntk.engines.path.solution import Window
from fastntk.engines.path.teams import Team, cuts
from fastntk.model.network import TwoLayerReLU
from fastntk.model.streamed import Drawn, StreamedNetwork

__all__ = ["Spread"]


@dataclass(frozen=True)
class DrawnPart:
    """Neurons that are drawn where they are needed."""

    drawn: Drawn
    first: int
    last: int

    def a(self) -> np.ndarray:
        """Their weights in the second layer."""
        return self.drawn.draws.signs(self.first, self.last - self.first, self.drawn.dtype)

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Some of their rows of W."""
        return self.drawn(self.first + first, self.first + last)


@dataclass(frozen=True)
class HeldPart:
    """Neurons of a network that was given: their weights travel."""

    W: np.ndarray
    second: np.ndarray

    def a(self) -> np.ndarray:
        """Their weights in the second layer."""
        return self.second

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Some of their rows of W."""
        return self.W[first:last]


def part_source(net: TwoLayerReLU, first: int, last: int) -> DrawnPart | HeldPart:
    """What makes the neurons of a part."""
    if isinstance(net, StreamedNetwork) and not net.held and isinstance(net.rows, Drawn):
        return DrawnPart(net.rows, first, last)
    return HeldPart(np.ascontiguousarray(net.weights(first, last)), net.a[first:last])


@dataclass(frozen=True)
class Group:
    """Parts side by side on one worker, and the sum of their shares."""

    parts: tuple[Part, ...]
    share: Share

    def __sizeof__(self) -> int:
        """Bytes of the parts."""
        return sum(map(sys.getsizeof, self.parts))


def _no_rows(first: int, last: int) -> np.ndarray:
    raise NotImplementedError("the parts have the weights")


def make_group(problem: PathProblem, width: int, sources: list[DrawnPart | HeldPart]) -> Group:
    """The parts at the start of a run."""
    parts = tuple(Part(problem.sharing(source.a(), source, width)) for source in sources)
    return Group(parts, Share({}, {}))


def follow_group(group: Group, name: str, *arguments: Any) -> Group:
    """The parts after a method of each; those before stay as they are, so that this can be repeated."""
    parts = tuple(getattr(part, name)(*arguments) for part in group.parts)
    return Group(parts, summed([part.share for part in parts if part.share is not None]))


def share_of(group: Group) -> Share:
    """What travels of it."""
    return group.share


def windows_of(group: Group) -> list[tuple[Window, ...]]:
    """Patterns and their changes, which travel only when they are asked for."""
    return [part.windows for part in group.parts]


def ends_of(group: Group) -> list[Base]:
    """How far the weights of the parts have come."""
    return [part.base for part in group.parts if part.base is not None]


class Spread(Team):
    """Groups of parts, each on a worker.

    Attributes
    ----------
    history : list
        Names and arguments of the steps so far, from which any process can make the parts again.
    """

    def __init__(self, problem: PathProblem, net: TwoLayerReLU, workers: Workers) -> None:
        self.history: list[tuple[str, tuple[Any, ...]]] = []
        self._workers = workers
        samples = workers.shared(replace(problem, a=np.empty(0, problem.dtype), weights=_no_rows))
        places, parts = list(workers.found), cuts(problem.m)
        self._groups = []
        for number, group in enumerate(groups_of(len(parts), len(places))):
            sources = [part_source(net, *parts[part]) for part in group]
            at = places[number % len(places)]
            self._groups.append(workers.keep(make_group, samples, problem.m, sources, at=at))

    def do(self, name: str, *arguments: Any) -> Share:
        """Call this method of every part where it is."""
        self.history.append((name, arguments))
        sent = [self._workers.shared(one) if isinstance(one, np.ndarray) else one for one in arguments]
        self._groups = [self._workers.keep(follow_group, group, name, *sent) for group in self._groups]
        return summed(self._of_groups(share_of))

    def part_windows(self) -> Sequence[Sequence[Window]]:
        """Fetched from the workers."""
        return [windows for group in self._of_groups(windows_of) for windows in group]

    def rows_of(self, number: int) -> np.ndarray:
        """Fetched from the workers."""
        return np.concatenate([windows[number].start.rows for windows in self.part_windows()])

    def ends(self) -> Sequence[Base]:
        """Fetched from the workers."""
        return [base for group in self._of_groups(ends_of) for base in group]

    def _of_groups(self, function: Any) -> list[Any]:
        tasks = (Task(number, function, (group,), False) for number, group in enumerate(self._groups))
        found = {}
        for done in self._workers.each(tasks):
            found[done.key] = done.result
            self.meter(len(found) / len(self._groups))
        return [found[number] for number in range(len(found))]
