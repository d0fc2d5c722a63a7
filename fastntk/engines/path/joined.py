"""A window of the whole network from those of its parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.coefficients import Sparse
from fastntk.engines.path.events import Events
from fastntk.engines.path.momentum import Moving
from fastntk.engines.path.solution import Window
from fastntk.engines.path.solved import Solved
from fastntk.engines.path.start import Kept, Start
from fastntk.engines.path.sweeps import Leaders, Swept


def joined(n: int, firsts: Sequence[int], windows: Sequence[Window]) -> Window:
    """`firsts` are the numbers of the parts' first neurons; what only the search for events needs is left out."""
    if len(windows) == 1:
        return windows[0]
    head = windows[0]
    starts, swept = [one.start for one in windows], [one.solved.swept for one in windows]
    sums = starts[0].sums.copy()
    for start in starts[1:]:
        sums += start.sums  # integers, or close to the order of the parts
    kept = Kept(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))
    start = Start(np.zeros(n), np.concatenate([one.rows for one in starts]), sums, kept, head.start.reach)
    events = _events(firsts, [one.events for one in swept])
    found = Swept(events, swept[0].S, np.empty(0), 0, 0.0, 0, Leaders.none())
    keys = np.concatenate([one.moving.keys + first * n for first, one in zip(firsts, windows, strict=True)])
    moving = Moving(head.moving.velocity, keys, np.concatenate([one.moving.speeds for one in windows]))
    changed = Sparse(
        np.concatenate([one.base.changed.keys + first * n for first, one in zip(firsts, windows, strict=True)]),
        np.concatenate([one.base.changed.values for one in windows]),
    )  # fmt: skip
    base = Base(np.concatenate([one.base.rows for one in windows]), head.base.active, changed)
    return Window(head.begin, start, Solved(head.solved.e, head.solved.E, found, head.steps), moving, base)


def _events(firsts: Sequence[int], parts: Sequence[Events]) -> Events:
    """By step and sample, those of the first part first: neurons ascend."""
    counts = [np.diff(part.first, axis=1) for part in parts]
    ends = np.cumsum(np.sum(counts, axis=0).ravel())
    begins = np.concatenate(([0], ends[:-1])).reshape(counts[0].shape)
    first = np.hstack((begins, ends.reshape(counts[0].shape)[:, -1:]))
    neurons, on = np.empty(int(ends[-1]), np.int32), np.empty(int(ends[-1]), np.bool_)
    for offset, part, count in zip(firsts, parts, counts, strict=True):
        places = np.arange(part.total) + np.repeat((begins - part.first[:, :-1]).ravel(), count.ravel())
        neurons[places], on[places] = part.neurons + np.int32(offset), part.on
        begins = begins + count
    return Events(first, neurons, on)
