"""A window of the whole network from those of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.coefficients import Sparse
from fastntk.engines.path.events import Events
from fastntk.engines.path.momentum import Moving
from fastntk.engines.path.solution import Window
from fastntk.engines.path.start import Start

__all__ = ["joined", "joined_base"]


def joined(
    n: int, firsts: Sequence[int], windows: Sequence[Window], sums: np.ndarray, rows: np.ndarray, base: Base
) -> Window:
    """`firsts` are the numbers of the parts' first neurons; what is given is that of all neurons."""
    head = windows[0]
    events = _events(firsts, [one.solved.swept.events for one in windows])
    solved = replace(head.solved, swept=replace(head.solved.swept, events=events))
    keys = np.concatenate([one.moving.keys + first * n for first, one in zip(firsts, windows, strict=True)])
    moving = Moving(head.moving.velocity, keys, np.concatenate([one.moving.speeds for one in windows]))
    start = Start(np.zeros(n), rows, sums, head.start.kept, head.start.reach)
    return Window(head.begin, start, solved, moving, base)


def joined_base(n: int, firsts: Sequence[int], bases: Sequence[Base], rows: np.ndarray) -> Base:
    """That of all neurons, whose pattern was `rows` at the start of the run."""
    changed = [one.changed for one in bases]
    keys = np.concatenate([one.keys + first * n for first, one in zip(firsts, changed, strict=True)])
    return Base(rows, bases[0].active, Sparse(keys, np.concatenate([one.values for one in changed])))


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
