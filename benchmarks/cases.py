"""The registry: every comparison, in the order of the report."""

from benchmarks import deep, limit_kernels, masks, matrices, runs, steps, variants
from benchmarks.case import Case

CASES: tuple[Case, ...] = (
    masks.COUNTS,
    masks.FLIPS,
    masks.MARGINALS,
    masks.SUMS,
    matrices.MASKS,
    matrices.GRAM,
    matrices.GRADIENT,
    limit_kernels.LIMIT,
    limit_kernels.BOTH,
    limit_kernels.DEEP,
    limit_kernels.OPERATOR,
    steps.DUAL,
    steps.PRIMAL,
    runs.PATH,
    runs.FULL,
    deep.STEP,
    deep.KERNELS,
    *variants.VARIANTS,
)
