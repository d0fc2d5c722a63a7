"""The fixed point of a window: residuals give events, events give residuals, until both stay."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.candidates import Chosen, Field
from fastntk.engines.path.displaced import Displaced
from fastntk.engines.path.momentum import Moving
from fastntk.engines.path.outputs import Outputs, Recursion
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.start import Start
from fastntk.engines.path.sweeps import Sweeper, Swept

MOST_ROUNDS = 12
_DRIFTS_BELOW = 1e-3  # a relative change of the residuals after which the next round may be the last
_COARSE = 1e-3  # of the last change: how well the first rounds need to know their path
_SPARE = 1.1  # of a level over what was needed, so that one more round seldom shows it to be too low
_SETTLED = {"float32": 5e-6, "float64": 2e-13}


class Uncovered(Exception):
    """Entries that were not kept may be candidates: the pass over the neurons must reach further."""


class Follower:
    """Candidates of some neurons in a window, and what was found along the last path; see `candidates`."""

    def __init__(self, problem: PathProblem, start: Start, moving: Moving, base: Base, E: np.ndarray) -> None:
        self._problem, self._moving, self.E = problem, moving, E
        self._field = Field(problem, start, E, moving.keys)
        self._sweeper = Sweeper(
            problem, start, self._field, Displaced(problem, start, self._field.knots, base)
        )
        self._chosen: Chosen | None = None
        self._need: np.ndarray | None = None

    def copy(self) -> "Follower":
        """One whose next round leaves this one as it is."""
        after = copy.copy(self)
        after._field = copy.copy(self._field)
        after._field.level = self._field.level.copy()
        return after

    def choose(self, E: np.ndarray) -> bool:
        """Choose candidates for a path, those of before if they will do; whether all that can be one were kept."""
        if self._need is not None and self._field.widen(self._need, E, _SPARE):
            self._chosen = None
        if self._chosen is None:
            if not self._field.covered():
                return False
            self._chosen = self._field.chosen()
            self._speeds = self._moving.at(self._chosen, self._problem)
        return True

    @property
    def candidates(self) -> int:
        """How many there are."""
        return 0 if self._chosen is None else self._chosen.samples.size

    def sweep(self, e: np.ndarray, E: np.ndarray, drifts: bool, coarse: float) -> tuple[Swept, bool]:
        """Follow the candidates; whether no other entry can have changed."""
        assert self._chosen is not None
        self.E = E
        swept = self._sweeper(e, E, self._chosen, self._speeds, drifts, coarse)
        proven = not self._field.widen(swept.need, E)
        self._need = swept.need
        if not proven:
            self._chosen = None
        return swept, proven


@dataclass(frozen=True)
class Round:
    """What all neurons were found to do along a path; ``candidates`` and ``events`` are numbers."""

    swept: Swept
    proven: bool
    candidates: int
    events: int


@dataclass(frozen=True)
class Settled:
    """A window whose residuals have settled in ``steps`` steps; ``change`` is the last change of these."""

    outputs: Outputs
    steps: int
    rounds: int
    change: float
    last: Round


def settle(
    problem: PathProblem, linear: Outputs, recursion: Recursion, size: float,
    follow: Callable[[np.ndarray, bool, float], Round],
) -> Settled:  # fmt: skip
    """Rounds from the outputs of the linearised network; as many of its steps as have settled, at least one.

    Raises
    ------
    Uncovered
    """
    outputs, close = linear, _SETTLED[problem.dtype.name] * size
    wanted, exact, coarse = False, 0, 0.1 * _COARSE
    for count in itertools.count(1):
        one = follow(outputs.e[:-1].astype(problem.dtype), wanted, coarse)
        found = recursion(len(outputs.e) - 1, one.swept)
        exact = exact + 1 if one.proven and coarse == 0.0 else 0
        common = len(found.e)
        change = np.abs(found.e - outputs.e[:common]).max(axis=1)
        late = np.flatnonzero(~(change <= close))
        settled = common - 1 if late.size == 0 else int(late[0]) - 1
        done = settled == common - 1 and common == len(outputs.e)
        if wanted and one.proven and (done or count >= MOST_ROUNDS):
            break
        wanted = wanted or done or count >= MOST_ROUNDS - 1 or bool(change.max() <= _DRIFTS_BELOW * size)
        coarse = 0.0 if wanted or count > 1 else _COARSE * min(float(change.max()) / size, 0.1)
        outputs = found
    steps = max(settled, min(exact, common - 1))  # a round without doubt makes one more step exact
    return Settled(found.until(steps), steps, count, float(change[: settled + 1].max()), one)
