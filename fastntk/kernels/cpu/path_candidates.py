"""Which of the kept entries can change along a path, in neuron order and by sample.

Formula: entry (i, r) is a candidate if ``margin_ir <= size_i level_r``.
Layout: entries in neuron order, samples ascending; by sample: the neurons of each sample ascending, and
    which entries they are.
Owner: a task has a range of neurons.
Cost: two passes over the kept entries, two over the candidates.
Bound: memory.
Machine: any.
Accumulation: 64-bit counts, exact.
Rejected: none tried.
"""

import numba
import numpy as np

from fastntk.compilation.jit import kernel
from fastntk.kernels.cpu.path_events import running_sum


@kernel(parallel=True)
def count_candidates(kept, samples, margins, size, level, counts):
    """counts (m,) of the candidates of each neuron."""
    for r in numba.prange(counts.size):
        count = 0
        for x in range(kept[r], kept[r + 1]):
            count += margins[x] <= size[samples[x]] * level[r]
        counts[r] = count


@kernel(parallel=True)
def take_candidates(kept, samples, margins, size, level, first, origin):
    """origin (entries,): which kept entry each candidate is."""
    for r in numba.prange(level.size):
        at = first[r]
        for x in range(kept[r], kept[r + 1]):
            if margins[x] <= size[samples[x]] * level[r]:
                origin[at] = x
                at += 1


@kernel(parallel=True)
def sort_by_sample(first, samples, counts, starts, neurons, entries):
    """counts (ranges, n) is scratch; starts (n + 1,), neurons and entries are written."""
    m, (ranges, n) = first.size - 1, counts.shape
    for part in numba.prange(ranges):
        for i in range(n):
            counts[part, i] = 0
        for x in range(first[part * m // ranges], first[(part + 1) * m // ranges]):
            counts[part, samples[x]] += 1
    start = np.int64(0)
    for i in range(n):
        starts[i] = start
        start = running_sum(counts[:, i], start)
    starts[n] = start
    for part in numba.prange(ranges):
        for r in range(part * m // ranges, (part + 1) * m // ranges):
            for x in range(first[r], first[r + 1]):
                at = counts[part, samples[x]]
                neurons[at], entries[at] = r, x
                counts[part, samples[x]] = at + 1
