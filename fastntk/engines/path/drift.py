"""The largest drift at each step: from the few neurons that can have it."""

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.basis import basis
from fastntk.engines.path.coefficients import Responses, pattern
from fastntk.engines.path.knots import grams, pair_weights
from fastntk.engines.path.momentum import Moving
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.rounding import drift_doubt, drift_slack
from fastntk.engines.path.solved import Solved
from fastntk.engines.path.start import Start
from fastntk.engines.path.sweeps import Leaders, still_ahead

_FEW = 4  # leaders of a step that are evaluated at once
_KNOTS = 6


def narrowed(problem: PathProblem, start: Start, solved: Solved, base: Base, leaders: Leaders) -> Leaders:
    """Those of the leaders that are still ahead when more knots of the path are taken into account."""
    which, where = np.unique(leaders.neurons, return_inverse=True)
    leading = basis(solved.E, 1e-9).leading(_KNOTS)
    rows, weights = start.rows[which], [pair_weights(leading.coefficients)]
    gram = [grams(problem, rows, leading.vectors)]
    if base.active.any():
        B = np.concatenate([base.dense(r, r + 1) for r in which])
        Y = B @ problem.K
        gram += [(pattern(rows, problem.n) * Y) @ leading.vectors.T, np.einsum("ri,ri->r", B, Y)[:, None]]
        weights += [2.0 * leading.coefficients.T, np.ones((1, len(solved.E)))]
    return still_ahead(
        problem, leaders, np.hstack(gram)[where], np.vstack(weights),
        drift_doubt(problem, leading.coefficients), drift_slack(problem, solved.E, leading.vectors),
    )  # fmt: skip


def drift_of(problem: PathProblem, start: Start, solved: Solved, moving: Moving, base: Base) -> np.ndarray:
    """The largest drift at each step of a window, exactly, among the neurons that can have it."""
    found, n = np.zeros(solved.steps + 1), problem.n
    leaders = solved.swept.leaders
    if leaders.steps.size > _FEW * np.count_nonzero(solved.schedule.shown[1:]):
        leaders = narrowed(problem, start, solved, base, leaders)
    if not leaders.steps.size:
        return found
    listed = np.zeros(problem.m, np.bool_)
    listed[leaders.neurons] = True
    events = solved.swept.events.of(listed)
    order = np.argsort(events.neurons, kind="stable")
    neurons, steps, samples = events.neurons[order], events.steps[order], events.samples[order]
    signs = np.where(events.on[order], 1.0, -1.0)
    responses = Responses(solved.schedule, solved.e)
    rows = pattern(start.rows[leaders.neurons], n) * solved.E[leaders.steps]
    for row, neuron, step in zip(rows, leaders.neurons, leaders.steps, strict=True):
        own = slice(*np.searchsorted(neurons, (neuron, neuron + 1)))
        early = steps[own] <= step
        changed, place = np.unique(samples[own][early], return_inverse=True)
        tails = responses.of(changed).position(step)
        np.add.at(row, changed[place], signs[own][early] * tails[steps[own][early], place])
        if moving.keys.size:
            some = slice(*np.searchsorted(moving.keys, (neuron * n, neuron * n + n)))
            row[moving.keys[some] - neuron * n] += solved.schedule.coast(step)[0] * moving.speeds[some]
        row += base.dense(neuron, neuron + 1)[0]
    sizes = np.linalg.norm(rows @ problem.X, axis=1) * np.abs(problem.unit[leaders.neurons])
    np.maximum.at(found, leaders.steps, sizes)
    return found
