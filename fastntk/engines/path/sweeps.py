"""All neurons along a given path: displacements at the candidates, then changes of the pattern, in order of time."""

from dataclasses import dataclass, replace

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.engines.path.basis import basis
from fastntk.engines.path.candidates import Chosen, Field
from fastntk.engines.path.displaced import Displaced
from fastntk.engines.path.drag import Drag
from fastntk.engines.path.events import Events, in_time
from fastntk.engines.path.knots import pair_weights
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounding import drift_doubt, drift_slack, sweep_rounding
from fastntk.engines.path.schedule import Schedule
from fastntk.engines.path.start import Start
from fastntk.kernels.cpu.path_displacement import TABLE_ROWS, path_displacement
from fastntk.kernels.cpu.path_drift import Drift
from fastntk.kernels.cpu.path_sweep import (
    Candidates,
    Course,
    Found,
    Neurons,
    Scratch,
    path_sweep,
)
from fastntk.kernels.scratch import thread_slots

_LANES = 16
_TABLE_BYTES = 2**15  # in the first-level cache
_EVENTS = 1.2  # of a candidate, times the root of the steps: room to begin with
_PRODUCTS = 2**22  # of changed samples and candidates of a neuron, which are kept side by side
_RECORDS = 2**21  # of drifts, room to begin with, most of which is never touched
_SHARES = 2**21  # entries of S of all ranges
# Of the path's length; a tenth of its worst rounding or less.
_TRUNCATION = {"float32": 1e-6, "float64": 1e-14}


@dataclass(frozen=True)
class Leaders:
    """Neurons and steps among which are those of the largest drift; ``rest`` is what changed samples add.

    The square is ``a_r^2 / m`` times that rest, wrong by at most ``unsure``, and what the unchanged samples give.
    Times ``sqrt(m)``, ``most`` is at least the drift of each, and ``best`` at most the largest of each step.
    """

    neurons: np.ndarray
    steps: np.ndarray
    rest: np.ndarray
    unsure: np.ndarray
    most: np.ndarray
    best: np.ndarray

    @classmethod
    def none(cls, steps: int = 0) -> "Leaders":
        """Nothing was recorded."""
        nothing = np.empty(0)
        return cls(
            np.empty(0, np.int64), np.empty(0, np.int64), nothing, nothing, nothing, np.zeros(steps + 1)
        )

    def of(self, chosen: np.ndarray) -> "Leaders":
        """Some of them."""
        return Leaders(
            self.neurons[chosen], self.steps[chosen], self.rest[chosen], self.unsure[chosen], self.most[chosen],
            self.best,
        )  # fmt: skip

    def ahead(self, squares: np.ndarray, doubt: np.ndarray, slack: np.ndarray) -> "Leaders":
        """Those that can be the largest at their step: squares are wrong by ``doubt``, their roots by the slack."""
        own = slack[self.steps]
        least = np.sqrt(np.maximum(squares - doubt, 0.0)) - own
        most = np.sqrt(np.maximum(squares + doubt, 0.0)) + own
        best = np.zeros(slack.size)
        np.maximum.at(best, self.steps, least)
        return replace(self, most=most).above(best)

    def above(self, best: np.ndarray) -> "Leaders":
        """Those that can be the largest at their step, which is at least `best`."""
        best = np.maximum(self.best, best)
        return replace(self, best=best).of(self.most >= best[self.steps])


@dataclass(frozen=True)
class Swept:
    """What a sweep finds."""

    events: Events
    S: np.ndarray  # (steps + 1, n), what changed entries add to the outputs
    need: np.ndarray  # (m,), see Field.widen
    within: int  # candidates and steps at which the sign is in doubt by rounding
    doubt: float  # how wrong a pre-activation of a candidate is, at most
    rank: int
    leaders: Leaders
    drag: Drag | None = None  # of events that are elsewhere

    def until(self, step: int, best: np.ndarray) -> "Swept":
        """Up to a step; the largest drift of the network is at least `best`, times ``sqrt(m)``."""
        leaders = self.leaders.above(best)
        early = replace(leaders.of(leaders.steps <= step), best=leaders.best[: step + 1])
        return replace(self, events=self.events.until(step), S=self.S[: step + 1], leaders=early)

    def alone(self) -> "Swept":
        """The events without what only their search needs."""
        return replace(self, S=np.empty((0, 0)), need=np.empty(0), leaders=Leaders.none())


class Sweeper:
    """Room for sweeps, which grows with the events that are found."""

    def __init__(self, problem: PathProblem, start: Start, field: Field, displaced: Displaced) -> None:
        self._problem, self._start, self._field, self._displaced = problem, start, field, displaced
        self._K = problem.inner(problem.dtype)
        self._room = self._records = 0

    def __call__(
        self,
        schedule: Schedule,
        e: np.ndarray,
        E: np.ndarray,
        chosen: Chosen,
        speed: np.ndarray,
        drifts: bool,
        coarse: float = 0.0,
    ) -> Swept:
        """Follow all candidates along a path, known to ``coarse`` times its length or to rounding.

        ``speed`` are the velocities they start with, or empty.
        """
        problem, dtype, m = self._problem, self._problem.dtype, self._problem.m
        steps = len(e)
        tolerance = max(_TRUNCATION[dtype.name], coarse)
        directions = basis(E, tolerance, _LANES if dtype == np.float32 else None)
        rank = len(directions.vectors)
        D = self._displacements(directions.vectors, chosen)
        course = Course(
            np.ascontiguousarray(directions.coefficients, dtype),
            np.ascontiguousarray(schedule.weights * e.T, dtype), np.ascontiguousarray(schedule.motion, dtype),
        )  # fmt: skip
        candidates = Candidates(
            chosen.first, chosen.samples, chosen.values, speed,
            self._displaced.offsets[chosen.origin] if self._displaced.offsets.size else self._displaced.offsets, D,
        )  # fmt: skip
        neurons = Neurons(self._K, self._field.influence(), problem.unit, problem.a)
        rounding = sweep_rounding(problem, schedule, e, E, directions, self._displaced.offsets)
        drift = (
            self._drift(E) if drifts else Drift(np.empty((0, 0)), np.empty((0, 0)), np.empty(0), np.empty(0))
        )
        widest = int(np.diff(chosen.first).max())
        scratch = _scratch(widest, rank, problem.padded, drift.weights.shape[1], dtype)
        ranges = int(np.clip(_SHARES // ((steps + 1) * problem.n), 4, 16))
        expected = int(_EVENTS * steps**0.5 * chosen.samples.size) // ranges + 1024
        self._room = max(self._room, expected)
        self._records = max(self._records, min(steps * m // 8, _RECORDS) // ranges + 1024)
        while True:
            room, records_room, table = (ranges, self._room), (ranges, self._records), (ranges, steps + 1)
            found = Found(
                neuron=np.empty(room, np.int32), step=np.empty(room, np.int32), sample=np.empty(room, np.int32),
                S=np.zeros((ranges, problem.n, steps + 1)), need=np.zeros(m),
                within=np.zeros(m, np.int64), doubt=np.zeros(m),
                best=np.zeros(table), bar=np.tile(np.where(schedule.shown, 0.0, np.inf), (ranges, 1)),
                leader=np.empty(records_room, np.int32), moment=np.empty(records_room, np.int32),
                rest=np.empty(records_room), unsure=np.empty(records_room),
            )  # fmt: skip
            events, records = np.empty(ranges, np.int64), np.empty(ranges, np.int64)
            path_sweep(candidates, course, neurons, rounding, drift, found, scratch, events, records)
            most, recorded = int(events.max()), int(records.max())
            if most <= self._room and recorded <= self._records:
                break
            self._room = max(self._room, most + most // 16)
            self._records = max(self._records, recorded + recorded // 16)
        return Swept(
            in_time(found.neuron, found.step, found.sample, events, steps, problem.n),
            found.S.sum(axis=0).T / np.sqrt(problem.width), found.need, int(found.within.sum()),
            float(found.doubt.max()), rank,
            _leaders(problem, found, records, drift) if drifts else Leaders.none(steps),
        )  # fmt: skip

    def _displacements(self, vectors: np.ndarray, chosen: Chosen) -> np.ndarray:
        dtype, n = self._problem.dtype, self._problem.n
        parts = max(1, -(-len(vectors) // _LANES))
        B = np.zeros((parts, self._K.shape[1], _LANES), dtype)
        for j, vector in enumerate(vectors):
            B[j // _LANES, :n, j % _LANES] = vector
        D = np.empty((parts, chosen.neurons.size, _LANES), dtype)
        size = _TABLE_BYTES // (2 * TABLE_ROWS * _LANES * dtype.itemsize)
        tables = aligned_zeros((thread_slots(), 2 * size, TABLE_ROWS, _LANES), dtype)
        sums = aligned_zeros((thread_slots(), int(np.diff(chosen.starts).max()), _LANES), dtype)
        path_displacement(
            self._start.rows, self._K, B, chosen.starts, chosen.neurons, chosen.entries, tables, sums, D
        )
        return D

    def _drift(self, E: np.ndarray) -> Drift:
        """What makes the squared drifts of unchanged samples from the Gram matrices of the knots, and how wrong."""
        problem, knots = self._problem, self._field.knots
        coefficients = E @ knots.T
        pairs = [pair_weights(coefficients)]
        if self._displaced.products.size:
            pairs += [2.0 * coefficients.T, np.ones((1, len(E)))]
        gram = np.hstack((self._field.gram, self._displaced.products), dtype=np.float64)
        weights = aligned_zeros((gram.shape[1], _LANES * -(-len(E) // _LANES)), np.float64)
        weights[:, : len(E)] = np.vstack(pairs)
        return Drift(gram, weights, drift_slack(problem, E, knots), drift_doubt(problem, coefficients))


def _scratch(widest: int, rank: int, padded: int, steps: int, dtype: np.dtype) -> Scratch:
    slots, most = thread_slots(), _LANES * max(1, -(-widest // _LANES))
    kept = min(most, max(1, _PRODUCTS // most))

    def vector(kind: np.dtype | type) -> np.ndarray:
        return aligned_zeros((slots, most), kind)

    return Scratch(
        z=vector(dtype), start=vector(dtype), lin=vector(dtype), moved=vector(dtype), q=vector(dtype),
        now=vector(np.uint16), turned=vector(np.uint16), change=vector(np.int8),
        D=aligned_zeros((slots, rank, most), dtype), products=aligned_zeros((slots, kept, most), dtype),
        slot=vector(np.int64), index=vector(np.int64),
        live=vector(np.int64), p=vector(dtype), most=vector(dtype), near=aligned_zeros((slots, padded), dtype),
        squared=aligned_zeros((slots, steps), np.float64),
    )  # fmt: skip


def _leaders(problem: PathProblem, found: Found, records: np.ndarray, drift: Drift) -> Leaders:
    """Those that can have the largest drift once all are known."""
    joined = [
        np.concatenate([table[part, :count] for part, count in enumerate(records)])
        for table in (found.leader, found.moment, found.rest, found.unsure)
    ]
    unknown = np.full(joined[2].size, np.inf), np.zeros(len(drift.slack))
    leaders = Leaders(joined[0].astype(np.int64), joined[1].astype(np.int64), joined[2], joined[3], *unknown)
    return still_ahead(problem, leaders, drift.gram[leaders.neurons], drift.weights, drift.doubt, drift.slack)


def still_ahead(
    problem: PathProblem, leaders: Leaders, gram: np.ndarray, weights: np.ndarray, doubt: np.ndarray, slack: np.ndarray
) -> Leaders:  # fmt: skip
    """Leaders by Gram matrices (leaders, pairs) and their weights (pairs, steps)."""
    squares = np.square(problem.a[leaders.neurons], dtype=np.float64)
    squared = np.einsum("rp,pr->r", gram, weights[:, leaders.steps]) + leaders.rest
    return leaders.ahead(squares * squared, squares * (doubt[leaders.steps] + leaders.unsure), slack)
