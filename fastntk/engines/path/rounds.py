"""The fixed point of a window: residuals give events, events give residuals, until both stay."""

import itertools

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.candidates import Chosen, Field
from fastntk.engines.path.displaced import Displaced
from fastntk.engines.path.momentum import Moving
from fastntk.engines.path.outputs import Outputs, Recursion
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.solved import Solved
from fastntk.engines.path.start import Start
from fastntk.engines.path.sweeps import Sweeper

MOST_ROUNDS = 12
_DRIFTS_BELOW = 1e-3  # a relative change of the residuals after which the next round may be the last
_COARSE = 1e-3  # of the last change: how well the first rounds need to know their path
_SPARE = 1.1  # of a level over what was needed, so that one more round seldom shows it to be too low
_SETTLED = {"float32": 5e-6, "float64": 2e-13}


class Uncovered(Exception):
    """Entries that were not kept may be candidates: the pass over the neurons must reach further."""


def settle(
    problem: PathProblem, start: Start, moving: Moving, base: Base, linear: Outputs, recursion: Recursion, size: float
) -> Solved:  # fmt: skip
    """Rounds from the outputs of the linearised network; as many of its steps as have settled, at least one.

    Raises
    ------
    Uncovered
    """
    outputs, close = linear, _SETTLED[problem.dtype.name] * size
    E = problem.course(outputs.e[:-1], moving.velocity)
    field = Field(problem, start, E, moving.keys)
    sweeper = Sweeper(problem, start, field, Displaced(problem, start, field.knots, base))
    chosen: Chosen | None = None
    wanted, exact, coarse = False, 0, 0.1 * _COARSE
    for count in itertools.count(1):
        if chosen is None:
            if not field.covered():
                raise Uncovered
            chosen = field.chosen()
            speeds = moving.at(chosen, problem)
        swept = sweeper(outputs.e[:-1], E, chosen, speeds, wanted, coarse)
        found = recursion(len(E) - 1, swept)
        after = problem.course(found.e[:-1], moving.velocity)
        proven = not field.widen(swept.need, E)
        exact = exact + 1 if proven and coarse == 0.0 else 0
        candidates = chosen.samples.size
        if field.widen(swept.need, after, _SPARE) or not proven:
            chosen = None
        common = len(found.e)
        change = np.abs(found.e - outputs.e[:common]).max(axis=1)
        late = np.flatnonzero(~(change <= close))
        settled = common - 1 if late.size == 0 else int(late[0]) - 1
        done = settled == common - 1 and common == len(outputs.e)
        if wanted and proven and (done or count >= MOST_ROUNDS):
            break
        wanted = wanted or done or count >= MOST_ROUNDS - 1 or bool(change.max() <= _DRIFTS_BELOW * size)
        coarse = 0.0 if wanted or count > 1 else _COARSE * min(float(change.max()) / size, 0.1)
        outputs, E = found, after
    steps = max(settled, min(exact, common - 1))  # a round without doubt makes one more step exact
    return Solved(
        found.until(steps), E[: steps + 1], swept.until(steps), steps, count, candidates,
        float(change[: settled + 1].max()),
    )  # fmt: skip
