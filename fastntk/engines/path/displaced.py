"""What the drift of later windows needs of the change of weights before them."""

import numpy as np

from fastntk.engines.path.base import Base
from fastntk.engines.path.coefficients import pattern
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.start import Start

_BLOCK = 4096  # neurons of a product


class Displaced:
    """Of B, the coefficients of a neuron before the window, and ``Y = K B``, what they did to its pre-activations.

    Attributes
    ----------
    offsets : ndarray, shape (kept,)
        Y at the kept entries; empty in the first window.
    products : ndarray, shape (m, knots + 1)
        ``sum_i M_ir b_ji Y_ir`` for each knot, and ``B . Y``; no columns in the first window.
    """

    def __init__(self, problem: PathProblem, start: Start, knots: np.ndarray, base: Base) -> None:
        n, m, kept = problem.n, problem.m, start.kept
        moved = base.active.any()
        self.offsets = np.empty(kept.samples.size if moved else 0, problem.dtype)
        self.products = np.empty((m, len(knots) + 1 if moved else 0))
        for first in range(0, m if moved else 0, _BLOCK):
            last = min(first + _BLOCK, m)
            B = base.dense(first, last)
            Y = B @ problem.K
            self.products[first:last, :-1] = (pattern(start.rows[first:last], n) * Y) @ knots.T
            self.products[first:last, -1] = np.einsum("ri,ri->r", B, Y)
            some = slice(kept.first[first], kept.first[last])
            owners = np.repeat(np.arange(last - first), np.diff(kept.first[first : last + 1]))
            self.offsets[some] = Y[owners, kept.samples[some]]
