"""The largest drift at each step: from the few neurons that can have it."""

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.coefficients import Responses, pattern
from fastntk.engines.path.momentum import Moving
from fastntk.engines.path.problem import Problem
from fastntk.engines.path.solved import Solved
from fastntk.engines.path.start import Start


def drift_of(problem: Problem, start: Start, solved: Solved, moving: Moving, base: Base) -> np.ndarray:
    """The largest drift at each step of a window, exactly, among the neurons that can have it."""
    found, n = np.zeros(solved.steps + 1), problem.n
    leaders = solved.swept.leaders
    if not len(leaders):
        return found
    listed = np.zeros(problem.m, np.bool_)
    listed[leaders[:, 0]] = True
    events = solved.swept.events.of(listed)
    order = np.argsort(events.neurons, kind="stable")
    neurons, steps, samples = events.neurons[order], events.steps[order], events.samples[order]
    signs = np.where(events.on[order], 1.0, -1.0)
    responses, tails = Responses(problem, solved.outputs.e), {}
    rows = pattern(start.rows[leaders[:, 0]], n) * solved.E[leaders[:, 1]]
    for row, (neuron, step) in zip(rows, leaders, strict=True):
        if step not in tails:
            tails[step] = responses.position(step)
        own = slice(*np.searchsorted(neurons, (neuron, neuron + 1)))
        early = steps[own] <= step
        t, i = steps[own][early], samples[own][early]
        np.add.at(row, i, signs[own][early] * tails[step][t, i])
        if moving.keys.size:
            some = slice(*np.searchsorted(moving.keys, (neuron * n, neuron * n + n)))
            row[moving.keys[some] - neuron * n] += responses.coast(step)[0] * moving.speeds[some]
        row += base.dense(neuron, neuron + 1)[0]
    sizes = np.linalg.norm(rows @ problem.X, axis=1) * np.abs(problem.unit[leaders[:, 0]])
    np.maximum.at(found, leaders[:, 1], sizes)
    return found
