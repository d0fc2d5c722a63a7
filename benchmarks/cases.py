"""The registry: every comparison, in the order of the report."""

from benchmarks import masks, matrices, steps
from benchmarks.case import Case

CASES: tuple[Case, ...] = (
    masks.COUNTS,
    masks.FLIPS,
    masks.SUMS,
    matrices.MASKS,
    matrices.GRAM,
    matrices.GRADIENT,
    matrices.LIMIT,
    steps.DUAL,
    steps.PRIMAL,
)
