"""Some neurons along a path: given what all residuals are, a part needs to know nothing of the others.

A network of up to `SIZE` neurons is one part.  A wider one is cut at multiples of it; its parts may be followed one
after the other or on as many machines, and what they give is added up in a fixed order (`shares`).

Memory: between rounds a part keeps its pattern, n / 8 bytes a neuron; of a neuron about 90 bytes beside that (bounds,
    Gram matrix of the knots, levels); of an entry near zero 12, of a change of the pattern 5.
"""

from __future__ import annotations

import copy
import functools
import sys
from dataclasses import dataclass, replace

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.coefficients import Sparse
from fastntk.engines.path.drag import pushes
from fastntk.engines.path.drift import drift_of
from fastntk.engines.path.momentum import Ended, Moving
from fastntk.engines.path.problem import PathProblem, Rows
from fastntk.engines.path.rounds import Follower
from fastntk.engines.path.schedule import Schedule
from fastntk.engines.path.shares import Share
from fastntk.engines.path.solution import WeightChange, Window, moved, net_of
from fastntk.engines.path.solved import Solved
from fastntk.engines.path.start import NO_KEYS, Start, begin, reach_for
from fastntk.engines.path.sweeps import Swept

__all__ = ["SIZE", "Part"]

SIZE = 2**17  # neurons of a part: what every part does for itself costs little against its neurons


@dataclass
class Part:
    """Each method gives the part that comes after it, and its share of what all parts make together in ``share``.

    Attributes
    ----------
    base : Base or None
        How far the weights have come before the window; None before the first one.
    room : ndarray or None
        Where the pattern at the start of the next window goes; None for memory of its own.
    """

    problem: PathProblem
    windows: tuple[Window, ...] = ()
    share: Share | None = None
    base: Base | None = None
    room: np.ndarray | None = None
    _weights: Rows | None = None
    _before: Ended | None = None
    _reach: np.ndarray | None = None
    _begun: tuple[Start, Moving] | None = None
    _follower: Follower | None = None
    _e: np.ndarray | None = None
    swept: Swept | None = None

    @property
    def rows(self) -> np.ndarray:
        """The pattern at the start of the window that has begun."""
        assert self._begun is not None
        return self._begun[0].rows

    def now(self, **changes: object) -> Part:
        """The part with changes."""
        after = copy.copy(self)
        after.__dict__.update(changes)
        return after

    def __sizeof__(self) -> int:
        """Bytes, so that a scheduler moves the work to the part and not the part to the work."""
        rows = 0 if self._begun is None else self._begun[0].rows.nbytes
        return sys.getsizeof(None) + 4 * rows + self.problem.X.nbytes

    def begin(self, reach: np.ndarray, scale: float) -> Part:
        """The pass over the weights at the start of a window; `scale` is that of the whole network."""
        problem, before = self.problem, self._before
        reach = reach if self._reach is None else np.maximum(reach, self._reach)
        start = self._pass(reach, NO_KEYS if before is None else before.keys)
        base = Base(start.rows, np.zeros(problem.n), Sparse.none()) if self.base is None else self.base
        moving = Moving.still(problem.n) if before is None else before.against(start.rows)
        if moving.keys.size and not np.isin(moving.keys, start.kept.keys(problem.n), True).all():
            start = self._pass(reach, moving.keys)  # rounding has changed a sign that is not near zero
        share = Share({"u": start.u, "sums": start.sums, "push": moving.of_outputs(problem, start)}, {})
        if problem.whole:
            share, start = share.packed(scale, problem.width), start.without_sums()
        return self.now(
            share=share, base=base, room=None, _reach=reach, _begun=(start, moving), _follower=None, swept=None
        )  # fmt: skip

    def sweep(self, schedule: Schedule, e: np.ndarray, drifts: bool, coarse: float) -> Part:
        """A round: what these neurons do along the path with these derivatives; the first one is the first guess.

        With drifts it may be the last one, so it is repeated until no other entry can have changed.  Derivatives come,
        and shares of a part go, in the precision of the network: they travel.
        """
        assert self._begun is not None
        e = e.astype(np.float64)
        E, part = schedule.course(e, self._begun[1].velocity), self
        follower = None if part._follower is None else part._follower.copy()
        while True:
            if follower is None:
                follower = part._fresh(E)
            if not follower.choose(E):
                further = part._reaching_further(E)
                if further is None:
                    return self.now(share=Share({"unreachable": 1}, {}))
                part, follower = further, None
                continue
            swept, proven = follower.sweep(schedule, e, E, drifts, coarse)
            if proven or not drifts:
                break
        share = Share(
            {
                "S": swept.S, "unproven": int(not proven), "unreachable": 0,
                "candidates": follower.candidates, "within": swept.within,
            },
            {"doubt": swept.doubt, "rank": swept.rank, "best": swept.leaders.best},
        )  # fmt: skip
        if self.problem.whole:
            share.added["S"] = swept.S.astype(self.problem.dtype)
            share.added["pushes"] = pushes(self.problem, part.rows, schedule, e, swept.events)
            swept = replace(swept, S=np.empty((0, 0)))
        return part.now(share=share, _follower=follower, _e=e, swept=swept)

    def close(self, schedule: Schedule, best: np.ndarray) -> Part:
        """Keep these steps of the window along the path of the last round, and get ready for the next one.

        The largest drift of all parts is at least `best`.
        """
        problem, follower, swept, base = self.problem, self._follower, self.swept, self.base
        steps = len(schedule)
        assert self._begun is not None
        assert self._e is not None
        assert follower is not None
        assert swept is not None
        assert base is not None
        start, moving = self._begun
        e = np.zeros((steps + 1, problem.n))
        e[:steps] = self._e[:steps]  # those at the end move nothing any more
        solved = Solved(schedule, e, follower.E[: steps + 1], swept.until(steps, best), steps)
        net, drift = net_of(start.rows, solved, base), drift_of(problem, start, solved, moving, base)
        done = self.windows[-1].begin + self.windows[-1].steps if self.windows else 0
        made = WeightChange(problem, start, solved, moving, base, solved.steps)
        window = Window(done, start.alone(), replace(solved, swept=solved.swept.alone()), moving, base)
        return self.now(
            windows=(*self.windows, window),
            share=Share({"net": net, "events": solved.swept.events.total}, {"drift": drift}),
            base=base.moved(made.changed, start.rows, solved.E[-1]),
            _weights=functools.partial(moved, problem, made),
            _before=Ended(problem, start, solved, moving) if schedule.carries else None,
            _begun=None, _follower=None, _e=None, swept=None,
        )  # fmt: skip

    def _pass(self, reach: np.ndarray, forced: np.ndarray) -> Start:
        return begin(self.problem, self._weights or self.problem.weights, reach, forced, self.room)

    def _fresh(self, E: np.ndarray) -> Follower:
        assert self._begun is not None
        assert self.base is not None
        return Follower(self.problem, *self._begun, self.base, E)

    def _reaching_further(self, E: np.ndarray) -> Part | None:
        """The pass once more, with more entries kept; None if no reach is enough."""
        assert self._begun is not None
        start, moving = self._begun
        wider = np.maximum(2.0 * start.reach, reach_for(self.problem, E))
        if not (np.isfinite(wider).all() and (wider > start.reach).any()):
            return None
        again = replace(self._pass(wider, moving.keys), rows=start.rows, sums=start.sums)
        return self.now(_reach=wider, _begun=(again, moving))
