"""The drift of a neuron along a path: what `path_sweep` takes down of neurons that may have moved most.

Its square is ``a_r^2 / m`` times what the knots give of it, plus what the changed samples make, but for what the knots
leave out; how wrong it can be is taken down with it.
"""

from collections import namedtuple

import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lanes import broadcast, load, multiply_add, store, total, zeros

# gram (m, pairs); weights (pairs, steps padded); of all steps: slack, what the knots leave out of |drift|, and
# doubt, how wrong the square of the rest is
Drift = namedtuple("Drift", "gram weights slack doubt")


@kernel
def squared_drifts(drift, r, scratch):
    """The part of the squared drift that the knots give, of all steps."""
    steps = scratch.squared.size
    for at in range(0, steps, 16):
        value = zeros(scratch.squared)
        for pair in range(drift.gram.shape[1]):
            weight = broadcast(drift.gram, r * drift.gram.shape[1] + pair)
            value = multiply_add(weight, load(drift.weights, pair * steps + at), value)
        store(scratch.squared, at, value)


@kernel
def changed_drift(candidates, first, k, vectors, scratch):
    """The part of the squared drift that changed samples make."""
    value = zeros(scratch.q)
    for v in range(vectors):
        lin = load(scratch.lin, 16 * v)
        value = multiply_add(load(scratch.q, 16 * v), lin + lin + load(scratch.moved, 16 * v), value)
    rest = np.float64(total(value))
    if candidates.offset.size:
        for x in range(k):
            rest += 2.0 * np.float64(scratch.q[x]) * np.float64(candidates.offset[first + x])
    return rest


@kernel
def record_drift(drift, found, part, r, squared, doubt, step, rest, unsure, records):
    """Remember neuron r, which may be the one that has moved most; its square is wrong by at most `doubt`."""
    if records < found.leader.shape[1]:
        found.leader[part, records] = r
        found.moment[part, records] = step
        found.rest[part, records] = rest
        found.unsure[part, records] = unsure
    least = np.sqrt(max(squared - doubt, 0.0)) - drift.slack[step]
    if least > found.best[part, step]:
        found.best[part, step] = least
        found.bar[part, step] = max(least - drift.slack[step], 0.0) ** 2
    return records + 1
