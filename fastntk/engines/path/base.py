"""How far the weights have come before a window: coefficients of the samples since the start of the run."""

from dataclasses import dataclass

import numpy as np

from fastntk.engines.path.coefficients import Sparse, differences, pattern


@dataclass(frozen=True)
class Base:
    """Coefficients of the samples in the change of weights so far: ``M0_lr active_l + changed_lr``."""

    rows: np.ndarray  # M0, the pattern at the start of the run
    active: np.ndarray
    changed: Sparse

    def dense(self, first: int, last: int) -> np.ndarray:
        """Those of some neurons, (last - first, n)."""
        n = self.active.size
        return pattern(self.rows[first:last], n) * self.active + self.changed.dense(first, last, n)

    def moved(self, changed: Sparse, rows: np.ndarray, E: np.ndarray) -> "Base":
        """After a window that began with the pattern `rows`, moved its active entries by E and changed ones besides."""
        turned = differences(self.rows, rows, E.size)
        turned = Sparse(turned.keys, turned.values * E[turned.keys % E.size])
        return Base(self.rows, self.active + E, self.changed + changed + turned)
