"""What all changes of the pattern add to each entry that changes: sums in the order of time.

Formula: ``value_ir = sum_t +-tails_ti`` over the events of entry (i, r), plus where it becomes active.
Layout: events by step and sample, first (steps + 1, n + 1); marks of the entries that change as words of 64 samples
    ``[neuron][words]``; keys ``n r + i`` ascending, those of neuron r from ``starts[r]``.
Owner: a task has 64 samples, or a neuron.
Cost: two passes over the events; a value is found by counting the marks before it in its neuron's words.
Bound: memory, a miss of the cache for the words and the value of every event.
Machine: any.
Accumulation: float64, in the order of time.
Rejected: a sort of all keys (12 million events: 40 s beside other work, 1 here).
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.lane_bits import lowest_bit, popcount


@kernel(parallel=True)
def mark_changes(first, neurons, marks):
    """Set the marks of all entries that change; marks (m, words) is zero at the start."""
    n = first.shape[1] - 1
    for word in numba.prange(marks.shape[1]):
        for s in range(first.shape[0]):
            for i in range(64 * word, min(64 * word + 64, n)):
                for x in range(first[s, i], first[s, i + 1]):
                    marks[neurons[x], word] |= np.uint64(1) << np.uint64(i - 64 * word)


@kernel(parallel=True)
def list_changes(marks, n, starts, keys):
    """keys (entries,) of the marks; starts (m,) where those of each neuron begin."""
    for r in numba.prange(marks.shape[0]):
        at = starts[r]
        for word in range(marks.shape[1]):
            left = marks[r, word]
            while left != np.uint64(0):
                keys[at] = r * n + 64 * word + lowest_bit(left)
                left &= left - np.uint64(1)
                at += 1


@kernel(parallel=True)
def sum_changes(first, neurons, on, tails, marks, starts, values):
    """values (entries,) += tails (steps + 1, n), or minus them, of all events."""
    n = first.shape[1] - 1
    for word in numba.prange(marks.shape[1]):
        for s in range(first.shape[0]):
            for i in range(64 * word, min(64 * word + 64, n)):
                below = (np.uint64(1) << np.uint64(i - 64 * word)) - np.uint64(1)
                for x in range(first[s, i], first[s, i + 1]):
                    r = neurons[x]
                    at = starts[r] + np.int64(popcount(marks[r, word] & below))
                    for before in range(word):
                        at += np.int64(popcount(marks[r, before]))
                    values[at] += tails[s, i] if on[x] else -tails[s, i]
