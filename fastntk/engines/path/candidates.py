"""Which entries can change their sign along a path, with the proof that no other one can.

In the unit ``|a_r| / sqrt(m)`` an entry moves by ``K_i . (M_r o E(s)) + sum_l K_il q_lr(s)``.  A few knots
of the path give the first part at every entry up to ``|K_i|_2`` times the distance of E(s) from what is
covered: in the span of the knots, within a width of a chain of corners.  All entries that this bound lets
come within an allowance of zero are candidates.  The allowance is for what is only known afterwards: the
second part, and how the path has changed since.  It is checked for every neuron after every round
(`unproven`), and widened where it was too small.

Rounding: a displacement of a knot is a sum of table rows, wrong by at most as many units of ``|K_i|_2`` as it
    has terms; this is added to the distance, twice, for what is done with displacements (`remainder`).  The
    pre-activations at the start are taken as they were computed, as in the other engines.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.engines.path.basis import basis
from fastntk.engines.path.knots import bounds
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounding import table_terms, unit_of
from fastntk.engines.path.start import Start
from fastntk.kernels.cpu.path_candidates import count_candidates, sort_by_sample, take_candidates

_KNOTS = 3
_CORNERS = 8
_RANGES = 16
_WIDTH = 0.02  # of the length of the path: how far its coefficients at the knots may come to be off the chain
_SHARE = 0.6  # of the influence of the samples that start within their bounds: a first allowance for them


def distances(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Distance of each point from the chain that starts at 0 and goes through the corners."""
    ends = np.vstack((np.zeros_like(corners[:1]), corners))
    nearest = np.full(len(points), np.inf)
    for start, end in itertools.pairwise(ends):
        side, length = end - start, float((end - start) @ (end - start))
        share = np.clip((points - start) @ side / length, 0.0, 1.0) if length else np.zeros(len(points))
        nearest = np.minimum(nearest, np.linalg.norm(points - start - share[:, None] * side, axis=1))
    return nearest


def chain(points: np.ndarray, most: int, close: float) -> np.ndarray:
    """At most so many of the points, in order, which the others are close to the chain of."""
    chosen = [len(points) - 1]
    while len(chosen) < most:
        away = distances(points, points[chosen])
        farthest = int(away.argmax())
        if away[farthest] <= close or farthest in chosen:
            break
        chosen = sorted([*chosen, farthest])
    return points[chosen]


@dataclass(frozen=True)
class Chosen:
    """Candidates in neuron order and by sample; see `kernels.cpu.path_candidates`."""

    first: np.ndarray
    origin: np.ndarray  # which kept entries they are
    samples: np.ndarray
    values: np.ndarray
    starts: np.ndarray
    neurons: np.ndarray
    entries: np.ndarray


class Field:
    """How far the entries of a window can come: what does not change from round to round."""

    def __init__(self, problem: PathProblem, start: Start, E: np.ndarray, forced: np.ndarray) -> None:
        self._problem, self._start = problem, start
        n, m, dtype = problem.n, problem.m, problem.dtype
        leading = basis(E, 1e-4).leading(_KNOTS)
        self.knots = leading.vectors
        self._corners = chain(leading.coefficients, _CORNERS, 0.25 * leading.error.max())
        self.length = float(np.linalg.norm(E, axis=1).max())
        self._width = _WIDTH * self.length
        self.sizes = problem.sizes
        self._above = 1.0 + 16.0 * unit_of(problem)  # comparisons round, too
        self.level = np.ones(m)
        reach, per_size = np.ones(problem.padded), np.full(problem.padded, 1e30)
        moving = self.sizes > 0.0
        reach[:n][moving] = start.reach[moving]
        per_size[:n][moving] = 1.0 / self.sizes[moving]
        unit = np.abs(problem.unit).astype(np.float64)
        inverse = 1.0 / np.maximum(unit, np.finfo(dtype).max ** -0.5)  # 1 / 1e-40 would be none
        self.margins, self.spare, self.gram = bounds(
            problem, start.rows, self.knots, self._corners, self._width, reach, per_size, inverse, start.kept
        )
        self.gram = self.gram.astype(dtype)  # one unit of rounding more; `drift_doubt` has hundreds
        self.margins[~moving[start.kept.samples]] = np.inf  # samples that nothing moves
        within = np.count_nonzero(self.margins <= 0.0) / m
        apart = (np.abs(problem.K).sum(axis=1) - np.diag(problem.K))[moving] / (n * self.sizes[moving])
        each = float(apart.mean()) * self.length / np.sqrt(n) if moving.any() else 0.0
        self.allowance = 2.0 * self.remainder(E) + _SHARE * within * each
        if forced.size:
            self.margins[np.searchsorted(start.kept.keys(n), forced)] = -np.inf

    def remainder(self, E: np.ndarray) -> float:
        """How far a path is from what the knots cover, rounding included."""
        coefficients = E @ self.knots.T
        across = np.linalg.norm(E - coefficients @ self.knots, axis=1)
        rounding = 2.0 * table_terms(self._problem) * unit_of(self._problem)
        count, longest = len(self.knots), max(self.length, float(np.linalg.norm(E, axis=1).max()))
        beside = np.maximum(distances(coefficients, self._corners) - self._width, 0.0)
        return float(np.hypot(across, beside).max() + rounding * (np.sqrt(count) + _WIDTH * count) * longest)

    def influence(self) -> np.ndarray:
        """``|K_li|``, zero on the diagonal, over what entry i is allowed at level 1; rounded up."""
        problem = self._problem
        found = aligned_zeros((problem.n, problem.padded), problem.dtype)
        allowed = self.allowance * self.sizes * (1.0 - 16.0 * problem.n * np.finfo(problem.dtype).eps)
        np.divide(
            np.abs(problem.K), allowed, out=found[:, : problem.n], where=allowed > 0.0, casting="same_kind"
        )
        np.fill_diagonal(found, 0.0)
        return found

    def covered(self) -> bool:
        """Whether all entries that can be candidates at these levels were kept."""
        return bool((self.spare >= self._above * self.allowance * self.level).all())

    def widen(self, need: np.ndarray, E: np.ndarray, spare: float = 1.0) -> bool:
        """Raise the levels that are below `spare` times what a path along E has shown to be needed; whether any was."""
        needed = self._above * (need + (self.remainder(E) / self.allowance if self.allowance else 0.0))
        low = ~(spare * needed <= self.level)
        self.level[low] = 1.25 * needed[low]
        return bool(low.any())

    def chosen(self) -> Chosen:
        """The candidates at the present levels."""
        kept, dtype = self._start.kept, self._problem.dtype
        n, m = self._problem.n, self._problem.m
        size, level = (self.allowance * self.sizes).astype(dtype), self.level.astype(dtype)
        counts = np.empty(m, np.int64)
        count_candidates(kept.first, kept.samples, self.margins, size, level, counts)
        first = np.concatenate(([0], np.cumsum(counts)))
        total = int(first[-1])
        origin = np.empty(total, np.int64)
        take_candidates(kept.first, kept.samples, self.margins, size, level, first, origin)
        samples = kept.samples[origin]
        starts, neurons, entries = (
            np.empty(n + 1, np.int64),
            np.empty(total, np.int32),
            np.empty(total, np.int64),
        )
        sort_by_sample(first, samples, np.empty((_RANGES, n), np.int64), starts, neurons, entries)
        return Chosen(first, origin, samples, kept.values[origin], starts, neurons, entries)
