"""Intervals for the limits of Gram matrices of points on a GPU, as `fastntk.matrices.intervals` says."""

from typing import Any

import numpy as np

from fastntk.cuda.matrices.finite import gram_source
from fastntk.cuda.rows import in_precision
from fastntk.device.arrays import empty, give_back, require_memory, upload, zeros
from fastntk.kernels.cuda.conversion import mirror
from fastntk.kernels.cuda.gram_interval import gram_interval as interval_ends
from fastntk.kernels.cuda.gram_interval import mark_counts
from fastntk.kernels.cuda.plans import Products
from fastntk.matrices.intervals import GramInterval, clopper_pearson


def gram_interval(X: Any, W: Any, Z: Any, level: float, **options: Any) -> GramInterval:
    """See `fastntk.gram_interval`, of a checked level: the table of intervals is the host's, looked up there."""
    source = gram_source(X, W, None, Z, **options)
    (n, k), m = source.shape, source.width
    tables = 17 * (m + 1)
    require_memory(
        4 * 8 * n * k + max(tables, source.scratch_bytes(n, k) - 8 * n * k),
        f"the {n} x {k} Gram matrix with its intervals",
    )
    counts = source.all_counts()
    seen = zeros(m + 1, np.uint8)
    mark_counts(counts, seen)
    distinct = np.flatnonzero(seen.copy_to_host())
    least = int(distinct[0])
    ends = np.zeros((2, int(distinct[-1]) - least + 1))
    ends[:, distinct - least] = clopper_pearson(distinct, m, level)
    gram, lower, upper = (empty((n, k), np.float64) for _ in range(3))
    left = in_precision(source.points, np.dtype(np.float64))
    right = left if source.symmetric else in_precision(source.others, np.dtype(np.float64))
    Products().nt(left, right, gram)
    if source.symmetric:
        mirror(gram, 1.0)
    interval_ends(counts, least, upload(ends[0]), upload(ends[1]), float(m), gram, lower, upper)
    gram, lower, upper = (give_back(part, source.library) for part in (gram, lower, upper))
    return GramInterval(gram, lower, upper, level)
