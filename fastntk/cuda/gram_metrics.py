"""`fastntk.training.gram_metrics` on a GPU: H(k) of many steps is kept there, and looked at together.

Memory: up to `MOST` matrices of 8 n^2 bytes and as many small subspaces, in at most half of what is free.
"""

from typing import Any

import numpy as np

from fastntk.cuda.spectra.dense import shifted, sizes
from fastntk.cuda.spectra.subspace import Subspace
from fastntk.cuda.spectra.tracking import SmallestEigenvalues, SpectralNorms
from fastntk.device import arrays as device_arrays
from fastntk.device.arrays import empty, guard, require_memory, upload
from fastntk.spectra.tracking import SMALL
from fastntk.training.samples import LimitKernel
from fastntk.training.tangent import TangentKernel

MOST = 64  # matrices kept


class GramMetrics:
    """As the host's `GramMetrics`; `take` and `read` do at different times what a call does at once."""

    def __init__(self, kernel: TangentKernel, limit: LimitKernel, metrics: tuple[str, ...]) -> None:
        n = len(limit.H)
        self._kernel, self._n, self._metrics = kernel, n, metrics
        self._smallest = SmallestEigenvalues()
        self._change, self._distance = SpectralNorms(), SpectralNorms()
        self._slots: Any = None
        self._taken = 0
        self._initial: tuple[Any, float] | None = None
        with guard():
            require_memory(4 * limit.H.nbytes, f"the Gram matrices of n={n} samples")
            self._limit = upload(limit.H), float(np.linalg.norm(limit.H))
            self._before = self._limit[0]
            if n <= SMALL:
                self.limit = limit.ends
            else:  # also where the search of the first step begins
                ends = self._smallest.start(*self._limit)[0]
                self.limit = {"lambda_0": float(ends[0]), "lambda_max": float(ends[-1])}

    @property
    def full(self) -> bool:
        """Whether there is no room for another step before the next look."""
        return self._slots is not None and self._taken == len(self._slots)

    def take(self, engine: Any) -> None:
        """Keep H of the present state."""
        if self._slots is None:
            self._allocate()
        self._kernel(engine, out=self._slots[self._taken])
        self._taken += 1

    def read(self, without: int = 0) -> list[dict[str, float]]:
        """The numbers of the states that were kept, but for the last so many; all are forgotten."""
        count, self._taken = self._taken - without, 0
        found: list[dict[str, float]] = [{} for _ in range(count)]
        if not count:
            return found
        H = self._slots[:count]
        norms, changes = sizes(H, self._before)
        if self._initial is None:
            self._initial = shifted(H[0]), float(norms[0])
        if "gram" in self._metrics:
            for name, tracker, other in (
                ("gram_change", self._change, self._initial),
                ("gram_limit_distance", self._distance, self._limit),
            ):
                for numbers, value in zip(found, tracker.update(H, norms, *other).values, strict=True):
                    numbers[name] = float(value)
        if "lambda_min" in self._metrics:
            least = self._smallest.update(H, norms, changes)
            for numbers, value, bound in zip(found, least.values, least.residual_bounds, strict=True):
                numbers["lambda_min"], numbers["lambda_min_bound"] = float(value), float(bound)
        self._before = shifted(H[count - 1])
        return found

    def __call__(self, engine: Any) -> dict[str, float]:
        """At the present state."""
        with guard():
            self.take(engine)
            return self.read()[0]

    def _allocate(self) -> None:
        each = 8 * self._n**2 + Subspace.bytes_needed(self._n)
        require_memory(each, f"a Gram matrix of n={self._n} samples and its eigenvectors")
        members = int(max(1, min(MOST, device_arrays.available_bytes() // (2 * each))))
        self._slots = empty((members, self._n, self._n), np.float64)
