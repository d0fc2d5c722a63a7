"""The fixed point of a window: residuals give events, events give residuals, until both stay."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.candidates import Field
from fastntk.engines.path.displaced import Displaced
from fastntk.engines.path.momentum import Moving
from fastntk.engines.path.outputs import Outputs, Recursion
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.schedule import Schedule
from fastntk.engines.path.start import Start
from fastntk.engines.path.sweeps import Sweeper, Swept

MOST_ROUNDS = 12
_DRIFTS_BELOW = 1e-3  # a relative change of the residuals after which the next round may be the last
COARSE = 1e-3  # of the last change: how well the first rounds need to know their path
_SPARE = 1.1  # of a level over what was needed, so that one more round seldom shows it to be too low
_SETTLED = {"float32": 5e-6, "float64": 2e-13}


class Unreachable(Exception):
    """Numbers of a size at which no reach covers the path."""


class Follower:
    """Candidates of some neurons in a window, and what was found along the last path; see `candidates`."""

    def __init__(self, problem: PathProblem, start: Start, moving: Moving, base: Base, E: np.ndarray) -> None:
        self._problem, self._moving, self.E = problem, moving, E
        self._field = Field(problem, start, E, moving.keys)
        self._sweeper = Sweeper(
            problem, start, self._field, Displaced(problem, start, self._field.knots, base)
        )
        self.candidates = 0
        self._need: np.ndarray | None = None

    def copy(self) -> "Follower":
        """One whose next round leaves this one as it is."""
        after = copy.copy(self)
        after._field = copy.copy(self._field)
        after._field.level = self._field.level.copy()
        return after

    def choose(self, E: np.ndarray) -> bool:
        """Set the levels of candidates for a path; whether all entries that can be one were kept."""
        if self._need is not None:
            self._field.widen(self._need, E, _SPARE)
        return self._field.covered()

    def sweep(
        self, schedule: Schedule, e: np.ndarray, E: np.ndarray, drifts: bool, coarse: float
    ) -> tuple[Swept, bool]:
        """Follow the candidates; whether no other entry can have changed."""
        self.E = E
        chosen = self._field.chosen()
        speeds = self._moving.at(chosen, self._problem)
        swept = self._sweeper(schedule, e, E, chosen, speeds, drifts, coarse)
        self._need, self.candidates = swept.need, chosen.samples.size
        return replace(swept, need=np.empty(0)), not self._field.widen(self._need, E)


@dataclass(frozen=True)
class Round:
    """What all neurons were found to do along a path; ``candidates`` is their number."""

    swept: Swept
    proven: bool
    candidates: int


@dataclass(frozen=True)
class Settled:
    """A window whose residuals have settled in ``steps`` steps; ``change`` is the last change of these."""

    outputs: Outputs
    steps: int
    rounds: int
    change: float
    last: Round


def settle(
    problem: PathProblem, schedule: Schedule, guess: Outputs, recursion: Recursion, size: float,
    follow: Callable[[Schedule, np.ndarray, bool, float], Round],
) -> Settled:  # fmt: skip
    """Rounds from a guess of the outputs; as many of its steps as have settled, at least one.

    Raises
    ------
    Unreachable
    """
    outputs, close = guess, _SETTLED[problem.dtype.name] * size
    wanted, exact, coarse = False, 0, 0.1 * COARSE
    for count in itertools.count(1):
        one = follow(schedule.until(len(outputs.e) - 1), outputs.e[:-1].astype(problem.dtype), wanted, coarse)
        found = recursion(schedule.until(len(outputs.e) - 1), one.swept)
        exact = exact + 1 if one.proven and coarse == 0.0 else 0
        common = len(found.e)
        change = np.abs(found.e - outputs.e[:common]).max(axis=1)
        late = np.flatnonzero(~(change <= close))
        settled = common - 1 if late.size == 0 else int(late[0]) - 1
        done = settled == common - 1 and common == len(outputs.e)
        if wanted and one.proven and (done or count >= MOST_ROUNDS):
            break
        wanted = wanted or done or count >= MOST_ROUNDS - 1 or bool(change.max() <= _DRIFTS_BELOW * size)
        coarse = 0.0 if wanted or count > 1 else COARSE * min(float(change.max()) / size, 0.1)
        outputs = found
    steps = max(settled, min(exact, common - 1))  # a round without doubt makes one more step exact
    return Settled(found.until(steps), steps, count, float(change[: settled + 1].max()), one)
