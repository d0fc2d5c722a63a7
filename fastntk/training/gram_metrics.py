"""What a run logs of its tangent kernel: how far H(k) is from where it started and from its limit, its lambda_min."""

import functools
from collections.abc import Callable

import numpy as np

from fastntk.base.memory import require_memory
from fastntk.compilation.parallel_calls import ParallelCalls
from fastntk.engines.interface import Engine
from fastntk.engines.tangent import TangentKernel
from fastntk.spectra import Eigenvalue, SmallestEigenvalue, SpectralNorm
from fastntk.spectra.difference import difference
from fastntk.spectra.eigenvalue import allowance, is_moderate
from fastntk.spectra.norm import REACH
from fastntk.spectra.tracking import SMALL
from fastntk.training.samples import LimitKernel

NAMES = ("gram", "lambda_min")
_RTOL = 1e-5  # of the residual of lambda_min, whose square over a gap is the error of the value


class Distances:
    """``|H - H(0)|_2`` and ``|H - H_inf|_2`` of the H of each step.

    Large ones are followed in single precision, each at its own scale: that the change of H is small against H costs no
    digits, and the second difference is the first one and a constant.
    """

    def __init__(self, H_initial: np.ndarray, H_limit: np.ndarray) -> None:
        self._initial, self._limit = H_initial, H_limit
        self._change, self._distance = SpectralNorm(), SpectralNorm()
        large = len(H_initial) > SMALL
        self._differences = np.empty((3, *H_initial.shape), np.float32) if large else None
        if self._differences is not None:
            difference(H_initial, H_limit, self._differences[2])

    def __call__(self, H: np.ndarray) -> dict[str, float]:
        """Of the H of the next step."""
        if self._differences is not None:
            moved, apart, at_first = self._differences
            norms = difference(H, self._initial, moved).norms
            if is_moderate(*norms, reach=REACH):
                np.add(moved, at_first, out=apart)
                rounding = allowance(len(H), sum(norms))
                found = self._change.of(moved, rounding), self._distance.of(apart, rounding)
                return {"gram_change": found[0], "gram_limit_distance": found[1]}
        return {
            "gram_change": float(self._change.update(H, self._initial)),
            "gram_limit_distance": float(self._distance.update(H, self._limit)),
        }


class GramMetrics:
    """The numbers of each logged step, and of the limit: ``limit`` has its smallest and its largest eigenvalue.

    All of them are found on the host, whatever engine the state is one of.
    """

    def __init__(self, kernel: TangentKernel, limit: LimitKernel, metrics: tuple[str, ...]) -> None:
        n = len(limit.H)
        require_memory(self.bytes_needed(n, metrics), f"the metrics of H for n={n} samples")
        self._kernel, self._metrics = kernel, metrics
        self._H = np.empty_like(limit.H)
        self._H_limit, self.limit = limit.H, limit.ends
        self._smallest = SmallestEigenvalue(rtol=_RTOL)
        self._last: tuple[np.ndarray, Eigenvalue] | None = None
        self._distances: Distances | None = None
        self._at_once = ParallelCalls()

    @staticmethod
    def bytes_needed(n: int, metrics: tuple[str, ...]) -> int:
        """H, and what it is computed from; the first one and three differences; factors.  Beside the limit."""
        return int(8 * n * n * (2.0 + 2.8 * ("gram" in metrics) + 3.7 * ("lambda_min" in metrics)))

    def __call__(self, engine: Engine) -> dict[str, float]:
        """At the present state."""
        H = self._kernel(engine, out=self._H)
        if self._distances is None and "gram" in self._metrics:
            self._distances = Distances(H.copy(), self._H_limit)
        updates: list[Callable[[], dict[str, float]]] = []
        if "lambda_min" in self._metrics:
            updates.append(lambda: self._of_smallest(H))
        if self._distances is not None:
            updates.append(functools.partial(self._distances, H))
        return {name: value for found in self._at_once(*updates) for name, value in found.items()}

    def _of_smallest(self, H: np.ndarray) -> dict[str, float]:
        # the theory asks whether H(k) keeps half of lambda_0: the bound says so wherever it is true
        found = self._smallest.update(H, decide=self.limit["lambda_0"] / 2.0)
        self._last = H, found
        return {
            "lambda_min": float(found),
            "lambda_min_lower": found.lower_bound,
            "lambda_min_residual": found.residual_bound,
        }

    def last_lower(self) -> float | None:
        """The lower bound of lambda_min at the last state, as tight as can be proven; None if it is not asked for."""
        return None if self._last is None else self._smallest.tightened(*self._last)


def gram_metrics(
    kernel: TangentKernel, limit: Callable[[], LimitKernel], metrics: tuple[str, ...]
) -> GramMetrics | None:
    """`GramMetrics`; None if no metric needs H, nor then its limit."""
    return GramMetrics(kernel, limit(), metrics) if any(name in metrics for name in NAMES) else None
