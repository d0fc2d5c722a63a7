"""A solved path seen as an engine: each step is looked up, so that loops and metrics need not know how it was made."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base.packing import PackedMasks, byte_rows
from fastntk.engines.interface import PLAIN, Engine, Motion
from fastntk.engines.path.base import Base
from fastntk.engines.path.counts import CountChange, counts_of
from fastntk.engines.path.part import SIZE
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.solution import Path
from fastntk.engines.path.start import octets
from fastntk.engines.tangent import State, TangentKernel
from fastntk.model.network import TwoLayerReLU
from fastntk.model.streamed import Moved, StreamedNetwork

_BLOCK = 4096  # neurons whose weights are written at once
_LANES = {4: 16, 8: 96}  # numbers of a candidate's displacement and what its path takes, by their bytes


class PathKernel(TangentKernel):
    """H of each step from the changes of the pattern: nothing is counted again."""

    def __call__(self, engine: State, out: np.ndarray | None = None) -> npt.NDArray[np.float64]:
        """H at the present step."""
        assert isinstance(engine, PathEngine)
        return engine.counts().gram(engine.path.problem.K, engine.m, out)

    def initial(self, engine: State) -> npt.NDArray[np.float64]:
        """H at the start."""
        assert isinstance(engine, PathEngine)
        H = engine.path.problem.K * engine.path.logs[0].sums
        H /= engine.m
        return H


class PathEngine(Engine):
    """Step k of a path; ``path`` is solved before, for the loss and the steps that will be asked for."""

    name = "path"
    tangent_kernel = PathKernel

    @staticmethod
    def bytes_needed(
        n: int, d: int, m: int, itemsize: int, motion: Motion = PLAIN, shared: bool = False
    ) -> int:
        """What parts keep, and what one of them takes while it is followed, of a run of a hundred steps.

        Near zero are 18 entries of a sample, in units of sqrt(m), 2.2 are candidates, and 11 changes are found; more
        of the first two where samples are close to each other.
        """
        root = m**0.5
        spread = ((1.0 + n / d) / 2.0) ** 0.75 * root
        near, candidates, changes = (n * min(m, count) for count in (18 * spread, 2.2 * spread, 11 * root))
        kept = m * (octets(n) + 112) + near * (4 + 2 * itemsize) + 5 * changes
        displacements = _LANES[itemsize] * itemsize
        followed = min(1.0, SIZE / m) * (candidates * (36 + displacements) + 43 * changes) + 13000 * n
        drawn = min(m, 8192) * d * itemsize * 1.25
        return int(kept + max(followed, drawn) + (40 + 4 * itemsize) * n * n + 2 * n * d * itemsize)

    def __init__(self, net: TwoLayerReLU, path: Path) -> None:
        problem = path.problem
        super().__init__(problem.X, net, Motion(optimizer=problem.optimizer, flow=path.flow is not None))
        self.path, self._at = path, 0
        self._u, self._flips, self._drift = path.u, path.flips, path.drift
        self.u = self._u[0]
        self._shown, self._counted = -1, -1
        self._patterns: Iterator[np.ndarray] = path.patterns()
        self._counts: Iterator[CountChange] = counts_of(path)

    def step(self, e: np.ndarray, lr: float) -> None:
        """Go to the next step, whose derivatives and size are those that the path was solved for."""
        self.go(self._at + 1)

    def go(self, step: int) -> None:
        """Go on to a later step."""
        self._at, self.u = step, self._u[step]

    def _blend(self, share: float) -> None:
        raise NotImplementedError("the stages of a path are made before")

    @cached_property
    def initial_masks(self) -> PackedMasks:  # type: ignore[override]
        """The pattern at the start."""
        return packed_rows(self.path.windows[0].start.rows, self.path.problem)

    @property
    def masks(self) -> PackedMasks:  # type: ignore[override]
        """The present pattern; steps that are past cannot be asked for."""
        while self._shown < self._at:
            self._rows = next(self._patterns)
            self._shown += 1
        return packed_rows(self._rows, self.path.problem)

    def counts(self) -> CountChange:
        """``sum_r a_r^2 M_ir M_jr`` of the present step; steps that are past cannot be asked for."""
        while self._counted < self._at:
            self._change = next(self._counts)
            self._counted += 1
        return self._change

    def flip_fraction(self) -> float:
        """Of the present step."""
        return float(self._flips[self._at]) / (self.n * self.m)

    def drift(self) -> float:
        """Of the present step."""
        return float(self._drift[self._at])

    def drifts(self) -> np.ndarray:
        """Of all neurons: a dense product."""
        return self.path.drifts(self._at)

    def write_weights(self, out: np.ndarray) -> None:
        """Of the present step, by blocks of neurons."""
        weights = self.path.weights(self._at)
        for first in range(0, self.m, _BLOCK):
            last = min(first + _BLOCK, self.m)
            out[first:last] = weights(first, last)

    def network(self) -> StreamedNetwork:
        """The network at the end, which keeps of the path what makes its weights again."""
        if self.path.again is None:
            return moved_rows(self.net, self.path.problem, self.path.end()).network()
        rows = Repeated(self.net, self.path.problem, self.path.again)
        return StreamedNetwork(rows, self.net.a, self.net.d)

    def facts(self) -> dict[str, Any]:
        """How the path was found, for the record of a run: one entry for each window."""
        found = [log.found for log in self.path.logs]
        return {
            **{name: [one[name] for one in found] for name in found[0]},
            "certificate": "from z as computed at the start of each window: every sign is that of the exact z but for "
            "within_rounding signs of candidates closer to zero than rounding, and what follows in their neurons; "
            "no other entry can have changed",
        }


class Repeated:
    """The rows of a network whose path was followed elsewhere: the first that is asked for has it followed here."""

    def __init__(self, net: TwoLayerReLU, problem: PathProblem, end: Callable[[], Base]) -> None:
        self._net, self._problem, self._end = net, problem, end

    @cached_property
    def _rows(self) -> Moved:
        return moved_rows(self._net, self._problem, self._end())

    def __call__(self, first: int, last: int) -> np.ndarray:
        """These rows."""
        return self._rows(first, last)


def moved_rows(net: TwoLayerReLU, problem: PathProblem, end: Base) -> Moved:
    """The rows at the end of a path."""
    X = problem.X.astype(problem.dtype)
    return Moved(net, X, end.rows, end.active, end.changed.keys, end.changed.values)


def packed_rows(rows: np.ndarray, problem: PathProblem) -> PackedMasks:
    """The pattern as other engines keep it."""
    masks = PackedMasks.empty(problem.n, problem.m)
    masks.bits[:, : problem.m] = rows[:, : byte_rows(problem.n)].T
    return masks
