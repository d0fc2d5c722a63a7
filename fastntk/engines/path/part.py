"""Some neurons along a path: given what all residuals are, a part needs to know nothing of the others.

A network of up to `SIZE` neurons is one part.  A wider one is cut at multiples of it; its parts may be followed one
after the other or on as many machines, and what they give is added up in a fixed order (`shares`).
"""

from __future__ import annotations

import copy
import functools
import sys
from dataclasses import dataclass

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.engines.path.base import Base
from fastntk.engines.path.coefficients import Sparse
from fastntk.engines.path.drift import drift_of
from fastntk.engines.path.momentum import Ended, Moving
from fastntk.engines.path.outputs import RANGES
from fastntk.engines.path.problem import PathProblem, Rows
from fastntk.engines.path.rounds import Follower
from fastntk.engines.path.shares import Share
from fastntk.engines.path.solution import WeightChange, Window, moved, net_of
from fastntk.engines.path.solved import Solved
from fastntk.engines.path.start import Start, begin
from fastntk.engines.path.sweeps import Swept
from fastntk.kernels.cpu.path_recursion import path_step

__all__ = ["SIZE", "Part"]

SIZE = 2**17  # neurons of a part: what every part does for itself costs little against its neurons


@dataclass
class Part:
    """Each method gives the part that comes after it, and its share of what all parts make together in ``share``."""

    problem: PathProblem
    windows: tuple[Window, ...] = ()
    share: Share | None = None
    _weights: Rows | None = None
    _before: Ended | None = None
    _base: Base | None = None
    _begun: tuple[Start, Moving] | None = None
    _follower: Follower | None = None
    _e: np.ndarray | None = None
    swept: Swept | None = None

    @property
    def rows(self) -> np.ndarray:
        """The pattern at the start of the window that has begun."""
        assert self._begun is not None
        return self._begun[0].rows

    def _now(self, **changes: object) -> Part:
        after = copy.copy(self)
        after.__dict__.update(changes)
        return after

    def __sizeof__(self) -> int:
        """Bytes, so that a scheduler moves the work to the part and not the part to the work."""
        rows = 0 if self._begun is None else self._begun[0].rows.nbytes
        return sys.getsizeof(None) + 4 * rows + self.problem.X.nbytes

    def begin(self, reach: np.ndarray, scale: float) -> Part:
        """The pass over the weights at the start of a window; `scale` is that of the whole network."""
        problem, before, base = self.problem, self._before, self._base
        weights = self._weights or problem.weights
        start = begin(problem, weights, reach, None if before is None else before.keys)
        if base is None:
            base = Base(start.rows, np.zeros(problem.n), Sparse.none())
        moving = Moving.still(problem.n) if before is None else before.against(start.rows)
        share = Share({"u": start.u, "sums": start.sums, "push": moving.of_outputs(problem, start)}, {})
        if problem.whole:
            share = share.packed(scale, problem.width)
        return self._now(share=share, _base=base, _begun=(start, moving), _follower=None, swept=None)

    def sweep(self, e: np.ndarray, drifts: bool, coarse: float) -> Part:
        """A round: what these neurons do along the path with these derivatives; the first one is the first guess.

        Derivatives and shares of a part come and go in the precision of the network: they travel.
        """
        assert self._begun is not None
        assert self._base is not None
        e = e.astype(np.float64)
        E = self.problem.course(e, self._begun[1].velocity)
        if self._follower is None:
            follower = Follower(self.problem, *self._begun, self._base, E)
        else:
            follower = self._follower.copy()
        if not follower.choose(E):
            return self._now(share=Share({"uncovered": 1}, {}), _follower=follower)
        swept, proven = follower.sweep(e, E, drifts, coarse)
        share = Share(
            {
                "S": (swept.S + self._drag(e, swept)).astype(self.problem.dtype) if self.problem.whole else swept.S,
                "uncovered": 0, "unproven": int(not proven),
                "candidates": follower.candidates, "within": swept.within, "events": swept.events.total,
            },
            {"doubt": swept.doubt, "rank": swept.rank},
        )  # fmt: skip
        return self._now(share=share, _follower=follower, _e=e, swept=swept)

    def close(self, steps: int) -> Part:
        """Keep so many steps of the window along the path of the last round, and get ready for the next one."""
        problem, follower, swept, base = self.problem, self._follower, self.swept, self._base
        assert self._begun is not None
        assert self._e is not None
        assert follower is not None
        assert swept is not None
        assert base is not None
        start, moving = self._begun
        e = np.zeros((steps + 1, problem.n))
        e[:steps] = self._e[:steps]  # those at the end move nothing any more
        solved = Solved(e, follower.E[: steps + 1], swept.until(steps), steps)
        net, drift = net_of(start.rows, solved, base), drift_of(problem, start, solved, moving, base)
        done = self.windows[-1].begin + self.windows[-1].steps if self.windows else 0
        window = Window(done, start, solved, moving, base)
        made = WeightChange(problem, start, solved, moving, base, solved.steps)
        return self._now(
            windows=(*self.windows, window),
            share=Share({"net": net, "events": solved.swept.events.total}, {"drift": drift}),
            _weights=functools.partial(moved, problem, made),
            _before=Ended(problem, start, solved, moving) if problem.optimizer.momentum else None,
            _base=base.moved(made.changed, start.rows, solved.E[-1]),
            _begun=None, _follower=None, _e=None, swept=None,
        )  # fmt: skip

    def _drag(self, e: np.ndarray, swept: Swept) -> np.ndarray:
        """What changed patterns of these neurons add to the outputs read out at the start's, (steps + 1, n)."""
        assert self._begun is not None
        problem, rows, n = self.problem, self._begun[0].rows, self.problem.n
        beta, ahead, direct, _ = problem.optimizer.coefficients()
        K, events = problem.inner(problem.counting), swept.events
        C = np.zeros_like(K)
        shares = aligned_zeros((min(RANGES, n), K.shape[1]), problem.counting)
        squares = np.square(problem.a, dtype=np.float64)
        weights = (squares[:1] if problem.scale else squares).astype(problem.counting)
        found, velocity, factors = np.zeros((len(e) + 1, n)), np.zeros(n), np.empty(n, problem.counting)
        for s, derivatives in enumerate(e):
            factors[:] = (-problem.lr / problem.width) * derivatives
            path_step(K, C, rows, events.first[s], events.neurons, events.on, weights, factors, shares)
            push = shares.sum(axis=0, dtype=np.float64)[:n]
            velocity = beta * velocity + push
            found[s + 1] = found[s] + ahead * velocity + direct * push
        return found
