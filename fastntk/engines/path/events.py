"""Changes of the pattern along a path, in order of time."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastntk.kernels.cpu.path_events import by_sample, by_step, count_steps


class Listed(NamedTuple):
    """Events one by one."""

    neurons: np.ndarray
    steps: np.ndarray
    samples: np.ndarray
    on: np.ndarray


@dataclass(frozen=True)
class Events:
    """Those of sample i in step s are ``first[s, i] ... first[s, i + 1] - 1``, neurons ascending."""

    first: np.ndarray
    neurons: np.ndarray
    on: np.ndarray

    @property
    def total(self) -> int:
        """Number of changes."""
        return self.neurons.size

    def until(self, step: int) -> "Events":
        """Those up to a step."""
        end = int(self.first[step, -1])
        return Events(self.first[: step + 1], self.neurons[:end], self.on[:end])

    def of(self, listed: np.ndarray | None = None) -> Listed:
        """All, or those of the neurons that are listed, (m,) booleans."""
        which = np.arange(self.total) if listed is None else np.flatnonzero(listed[self.neurons])
        begins = self.first[:, :-1].ravel()
        steps, samples = np.divmod(np.searchsorted(begins, which, side="right") - 1, self.first.shape[1] - 1)
        return Listed(self.neurons[which], steps, samples, self.on[which])


def in_time(
    neuron: np.ndarray, step: np.ndarray, sample: np.ndarray, events: np.ndarray, steps: int, n: int
) -> Events:
    """Events by step, sample and neuron, from those that the sweep found in ranges of neurons."""
    counts = np.empty((events.size, steps + 1), np.int64)
    count_steps(step, events, counts)
    total = int(events.sum())
    ends = np.cumsum(counts.T.ravel()).reshape(steps + 1, -1)
    starts = np.concatenate(([0], ends[:, -1]))
    neurons, samples = np.empty(total, np.int32), np.empty(total, np.int32)
    by_step(neuron, step, sample, events, (ends.T - counts).copy(), neurons, samples)
    first = np.empty((steps + 1, n + 1), np.int64)
    ordered, on = np.empty(total, np.int32), np.empty(total, np.bool_)
    by_sample(starts, neurons, samples, first, ordered, on)
    return Events(first, ordered, on)
