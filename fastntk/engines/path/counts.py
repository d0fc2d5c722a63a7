"""Common activations of every step from the changes of the pattern: exact, and nothing is counted again.

``C(k) = C0 + F + F^T + N`` with ``F_li = sum_r a_r^2 (M_lr - M0_lr) M0_ir`` and N the same of two changes.
"""

from collections.abc import Iterator

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.engines.path.problem import COLUMNS
from fastntk.engines.path.solution import Path
from fastntk.kernels.cpu.path_recursion import path_pairs, path_patterns


def counts_of(path: Path) -> Iterator[np.ndarray]:
    """``sum_r a_r^2 M_ir M_jr`` at each step, (n, n) float64: new arrays, integers where all ``a_r^2`` are one."""
    problem, n = path.problem, path.problem.n
    squares = np.square(problem.a, dtype=np.float64)
    weights = squares[:1] if problem.scale else squares
    for window in path.windows:
        rows, sums, events = window.start.rows, window.start.sums, window.solved.swept.events
        F = aligned_zeros((n, COLUMNS * -(-n // COLUMNS)), np.float64)
        N, changed = np.zeros((n, n)), np.zeros_like(rows)
        for step in range(window.steps + 1):
            of_step = events.first[step], events.neurons, events.on, weights
            path_patterns(F, rows, *of_step)
            path_pairs(rows, changed, *of_step, N)
            if step > 0 or window.begin == 0:
                yield sums + F[:, :n] + F[:, :n].T + N
