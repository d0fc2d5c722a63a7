"""All neurons along a given path: displacements at the candidates, then changes of the pattern, in order of time."""

from dataclasses import dataclass

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.engines.path.basis import basis
from fastntk.engines.path.candidates import Chosen, Field
from fastntk.engines.path.displaced import Displaced
from fastntk.engines.path.events import Events, in_time
from fastntk.engines.path.problem import Problem
from fastntk.engines.path.start import Start
from fastntk.kernels.cpu.path_displacement import TABLE_ROWS, path_displacement
from fastntk.kernels.cpu.path_sweep import Candidates, Course, Drift, Found, Neurons, Scratch, path_sweep
from fastntk.kernels.scratch import thread_slots

_LANES = 16
_TABLE_BYTES = 2**15  # in the first-level cache
_SHARES = 2**21  # entries of S of all ranges


@dataclass(frozen=True)
class Swept:
    """What a sweep finds."""

    events: Events
    S: np.ndarray  # (steps + 1, n), what changed entries add to the outputs
    need: np.ndarray  # (m,), see Field.widen
    rank: int
    leaders: np.ndarray  # (records, 2), neurons and steps among which are those that have moved most

    def until(self, step: int) -> "Swept":
        """Up to a step."""
        early = self.leaders[self.leaders[:, 1] <= step]
        return Swept(self.events.until(step), self.S[: step + 1], self.need, self.rank, early)


class Sweeper:
    """Room for sweeps, which grows with the events that are found."""

    def __init__(self, problem: Problem, start: Start, field: Field, displaced: Displaced) -> None:
        self._problem, self._start, self._field, self._displaced = problem, start, field, displaced
        self._gram = np.hstack((field.gram, displaced.products))
        self._K = problem.inner(problem.dtype)
        self._room = 1024

    def __call__(self, e: np.ndarray, E: np.ndarray, chosen: Chosen, speed: np.ndarray, drifts: bool) -> Swept:
        """Follow all candidates along a path; ``speed`` are the velocities they start with, or empty."""
        problem, dtype, m = self._problem, self._problem.dtype, self._problem.m
        steps = len(e)
        directions = basis(E, 2e-7, _LANES) if dtype == np.float32 else basis(E, 1e-14)
        rank = len(directions.vectors)
        D = self._displacements(directions.vectors, chosen)
        beta, ahead, direct, _ = problem.optimizer.coefficients()
        course = Course(
            np.ascontiguousarray(directions.coefficients, dtype),
            np.ascontiguousarray(problem.lr * e, dtype), np.array([beta, ahead, direct], dtype),
        )  # fmt: skip
        candidates = Candidates(
            chosen.first, chosen.samples, chosen.values, chosen.place, speed,
            self._displaced.offsets[chosen.origin] if self._displaced.offsets.size else self._displaced.offsets, D,
        )  # fmt: skip
        neurons = Neurons(self._K, self._field.influence(), problem.unit, problem.a)
        drift = self._drift(E) if drifts else Drift(self._gram, np.empty((0, 0)), np.empty(0))
        widest = int(np.diff(chosen.first).max())
        scratch = _scratch(widest, rank, problem.padded, dtype)
        ranges = int(np.clip(_SHARES // ((steps + 1) * problem.n), 4, 16))
        while True:
            found = Found(
                *(np.empty((ranges, self._room), np.int32) for _ in range(3)),
                np.zeros((ranges, steps + 1, problem.n)), np.zeros(m), np.zeros((ranges, steps + 1)),
                np.empty((ranges, self._room), np.int32), np.empty((ranges, self._room), np.int32),
                np.empty((ranges, self._room)),
            )  # fmt: skip
            events, records = np.empty(ranges, np.int64), np.empty(ranges, np.int64)
            path_sweep(candidates, course, neurons, drift, found, scratch, events, records)
            most = int(max(events.max(), records.max()))
            if most <= self._room:
                break
            self._room = most + most // 16
        return Swept(
            in_time(found.neuron, found.step, found.sample, events, steps, problem.n), found.S.sum(axis=0) / np.sqrt(m), found.need, rank,
            _leaders(found, records, drift.slack) if drifts else np.empty((0, 2), np.int64),
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
        path_displacement(self._start.rows, self._K, B, chosen.starts, chosen.neurons, tables, D)
        return D

    def _drift(self, E: np.ndarray) -> Drift:
        """What makes the squared drifts of unchanged samples from the Gram matrices of the knots, and how wrong."""
        problem, knots = self._problem, self._field.knots
        coefficients = E @ knots.T
        pairs = [
            coefficients[:, j] * coefficients[:, k] * (1.0 if j == k else 2.0)
            for j in range(len(knots)) for k in range(j, len(knots))
        ]  # fmt: skip
        left_out = np.linalg.norm(E - coefficients @ knots, axis=1)
        rounding = 2.0 * np.sqrt(problem.n) * float(np.finfo(problem.dtype).eps) * np.linalg.norm(E, axis=1)
        slack = problem.stretch * (left_out + rounding) * float(np.abs(problem.a).max())
        if self._displaced.products.size:
            pairs += [*(2.0 * coefficients.T), np.ones(len(E))]
        return Drift(self._gram, np.array(pairs).reshape(-1, len(E)), slack)


def _scratch(widest: int, rank: int, padded: int, dtype: np.dtype) -> Scratch:
    slots, most = thread_slots(), _LANES * max(1, -(-widest // _LANES))

    def vector(kind: np.dtype | type) -> np.ndarray:
        return aligned_zeros((slots, most), kind)

    return Scratch(
        z=vector(dtype), start=vector(dtype), lin=vector(dtype), moved=vector(dtype), now=vector(np.uint16),
        turned=vector(np.uint16), D=aligned_zeros((slots, rank, most), dtype),
        products=aligned_zeros((slots, most, most), dtype), slot=vector(np.int64), index=vector(np.int64),
        q=vector(dtype), p=vector(dtype), most=vector(dtype), change=vector(np.int8),
        near=aligned_zeros((slots, padded), dtype),
    )  # fmt: skip


def _leaders(found: Found, records: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """The neurons and steps that can have the largest drift once all are known."""
    best = found.best.max(axis=0)
    pairs = []
    for part, count in enumerate(records):
        neuron, step, size = (table[part, :count] for table in (found.leader, found.moment, found.size))
        able = size + 2.0 * slack[step] >= best[step]
        pairs.append(np.stack((neuron[able], step[able]), axis=1))
    return np.concatenate(pairs).astype(np.int64)
