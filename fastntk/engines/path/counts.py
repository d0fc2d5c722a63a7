"""The tangent kernel of every step from the changes of the pattern: exact, and nothing is counted again.

With x the pattern before a step and x' after it, ``x_i' x_j' - x_i x_j`` is half of ``(x_i' - x_i) (x_j' + x_j)`` and
of the same with i and j exchanged.  So each change of entry (i, r) adds plus or minus ``a_r^2`` times both patterns of
neuron r to row i of a matrix A, and the common activations are ``C0 + (A + A^T) / 2``.
"""

from collections.abc import Iterator

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.engines.path.problem import COLUMNS
from fastntk.engines.path.solution import Path
from fastntk.kernels.cpu.path_events import change_patterns
from fastntk.kernels.cpu.path_gram import TILE, path_gram
from fastntk.kernels.cpu.path_recursion import path_patterns
from fastntk.kernels.scratch import thread_slots

_EXACT = 2**22  # changes, of which each adds 2 at most, whose sums are exact in float32


class CountChange:
    """``C0 + (A + A^T) / 2`` of one step: both matrices may change when the next one is asked for."""

    def __init__(self, sums: np.ndarray, A: np.ndarray) -> None:
        self._sums, self._A = sums, A

    def gram(self, K: np.ndarray, m: float, out: np.ndarray | None = None) -> np.ndarray:
        """``K o C / m``, (n, n)."""
        H = np.empty_like(self._sums) if out is None else out
        tiles = aligned_zeros((thread_slots(), 2, TILE * TILE), np.float64)
        path_gram(K, self._sums, self._A, float(m), H, tiles)
        return H


def counts_of(path: Path) -> Iterator[CountChange]:
    """``C = sum_r a_r^2 M_ir M_jr`` at each step, in float64: integers where all ``a_r^2`` are one."""
    problem, n = path.problem, path.problem.n
    for window in path.windows:
        rows, events = window.start.rows.copy(), window.solved.swept.events
        kind = np.float32 if problem.scale == 1.0 and events.total < _EXACT else np.float64
        A, weights = aligned_zeros((n, COLUMNS * -(-n // COLUMNS)), kind), problem.squares(kind)
        for step in range(window.steps + 1):
            of_step = events.first[step], events.neurons, events.on
            path_patterns(A, rows, *of_step, weights)
            change_patterns(*of_step, rows)
            path_patterns(A, rows, *of_step, weights)
            if step > 0 or window.begin == 0:
                yield CountChange(window.start.sums, A)
