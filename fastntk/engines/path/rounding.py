"""How wrong the numbers of a path can be by rounding and truncation, in the worst case.

What is proven of a path: take its residuals and its pre-activations at the start of a window as they are.
Then every sign at every step is that of the exact pre-activation, which follows from the signs before, but
for those of candidates that are computed to lie within ``doubt`` of zero; they are counted.  So the pattern
is that of exact descent whose pre-activations are off by at most ``doubt`` where their sign is taken, and
at no other entry at all.

A sum of k rounded products is wrong by at most ``k + 1`` units of rounding of the sum of their magnitudes;
those are bounded by norms (Cauchy-Schwarz).
"""

import numpy as np

from fastntk.engines.path.basis import Basis
from fastntk.engines.path.problem import COLUMNS, PathProblem
from fastntk.engines.path.schedule import Schedule
from fastntk.kernels.cpu.path_sweep import Rounding

_BESIDE = 32  # operations on a number beside those of long sums


def unit_of(problem: PathProblem) -> float:
    """The unit of rounding of the working precision, and a thousandth for products of errors."""
    return 0.5005 * float(np.finfo(problem.dtype).eps)


def table_terms(problem: PathProblem) -> float:
    """Operations on the way to a displacement: a row of a table is a sum of up to six; at most 9 are added a word."""
    return 9.0 * -(-problem.n // COLUMNS) + _BESIDE


def sweep_rounding(
    problem: PathProblem, schedule: Schedule, e: np.ndarray, E: np.ndarray, basis: Basis, offsets: np.ndarray
) -> Rounding:
    """What the sweep needs to bound its own errors."""
    unit, sizes = unit_of(problem), float(problem.sizes.max())
    weights = float(np.abs(basis.coefficients).sum(axis=1).max(initial=0.0))
    covered = (table_terms(problem) + basis.coefficients.shape[1]) * unit * weights
    length = float(np.linalg.norm(E, axis=1).max() + basis.error.max())
    return Rounding(
        travel=schedule.travel(e) * (1.0 + 1e-9),
        coast=schedule.coasting() * (1.0 + 1e-9),
        far=np.abs(problem.K).max(axis=0),
        path=sizes * (float(basis.error.max()) + covered),
        length=2.0 * (sizes * length + float(np.abs(offsets).max(initial=0.0))),
        unit=unit,
        terms=3.0 * len(e) + _BESIDE,
    )


def drift_slack(problem: PathProblem, E: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """What the knots leave out of ``sqrt(m)`` times a drift at each step, at most."""
    left_out = np.linalg.norm(E - (E @ knots.T) @ knots, axis=1)
    return problem.stretch * left_out * float(np.abs(problem.a).max())


def drift_doubt(problem: PathProblem, coefficients: np.ndarray) -> np.ndarray:
    """How wrong a squared norm made from Gram matrices of the knots is at each step: they are off by |K|_F units."""
    weights = np.abs(coefficients).sum(axis=1) ** 2
    return 2.0 * table_terms(problem) * unit_of(problem) * float(np.linalg.norm(problem.K)) * weights
