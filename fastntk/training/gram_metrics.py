"""What a run logs of its tangent kernel: how far H(k) is from where it started and from its limit, its lambda_min."""

from collections.abc import Callable

import numpy as np

from fastntk.base.memory import require_memory
from fastntk.compilation.parallel_calls import ParallelCalls
from fastntk.engines.interface import Engine
from fastntk.engines.tangent import TangentKernel
from fastntk.kernels.cpu.differences import add
from fastntk.spectra import Eigenvalue, SmallestEigenvalue, SpectralNorm
from fastntk.spectra.difference import difference, single_matrix
from fastntk.spectra.eigenvalue import allowance, is_moderate
from fastntk.spectra.tracking import DENSE, REACH, SMALL
from fastntk.training.samples import LimitKernel

NAMES = ("gram", "lambda_min")
_RTOL = 1e-4  # of the residual of lambda_min, whose square over a gap is the error of the value
_RTOL_NORM = 3e-3  # of the residuals of the norms; their errors are below 1e-4 in the same way


class Distances:
    """``|H - H(0)|_2`` and ``|H - H_inf|_2`` of the H of each step.

    Large ones are followed in single precision, each at its own scale: that the change of H is small against H costs no
    digits, and the second difference is the first one and a constant.
    """

    def __init__(self, H_initial: np.ndarray, H_limit: np.ndarray) -> None:
        n = len(H_initial)
        self._initial, self._limit = H_initial, H_limit
        self._change, self._distance = SpectralNorm(_RTOL_NORM), SpectralNorm(_RTOL_NORM)
        self._difference = self._at_first = None
        if n > SMALL:
            self._difference, self._at_first = single_matrix(n), single_matrix(n)
            difference(H_initial, H_limit, self._at_first)

    def __call__(self, H: np.ndarray) -> dict[str, float]:
        """Of the H of the next step."""
        if self._difference is not None:
            *norms, _ = difference(H, self._initial, self._difference)
            if is_moderate(*norms, reach=REACH):
                rounding = allowance(len(H), sum(norms))
                change = self._change.of(self._difference, rounding)
                add(self._difference, self._at_first)  # in place: it stays in cache
                distance = self._distance.of(self._difference, rounding)
                return {"gram_change": change, "gram_limit_distance": distance}
        return {
            "gram_change": float(self._change.update(H, self._initial)),
            "gram_limit_distance": float(self._distance.update(H, self._limit)),
        }


class GramMetrics:
    """The numbers of each logged step, and of the limit.

    All of them are found on the host, whatever engine the state is one of.
    """

    def __init__(self, kernel: TangentKernel, limit: LimitKernel, metrics: tuple[str, ...]) -> None:
        n = len(limit.H)
        require_memory(self.bytes_needed(n, metrics), f"the metrics of H for n={n} samples")
        self._kernel, self._metrics = kernel, metrics
        self._H = np.empty_like(limit.H)
        self._limit = limit
        if "lambda_min" not in metrics or n > DENSE:  # else beside the first smallest eigenvalue
            _ = self.limit
        self._smallest = SmallestEigenvalue(rtol=_RTOL)
        self._last: tuple[np.ndarray, Eigenvalue] | None = None
        self._distances: Distances | None = None
        self._at_once = ParallelCalls()

    @property
    def limit(self) -> dict[str, float]:
        """Smallest and largest eigenvalue of the limit."""
        return self._limit.ends

    @staticmethod
    def bytes_needed(n: int, metrics: tuple[str, ...]) -> int:
        """H, and what it is computed from; the first one and two differences; factors.  Beside the limit."""
        return int(8 * n * n * (2.65 + 2.0 * ("gram" in metrics) + 3.55 * ("lambda_min" in metrics)))

    def __call__(self, engine: Engine) -> dict[str, float]:
        """At the present state."""
        H = self._kernel(engine, out=self._H)
        if self._last is None and "lambda_min" in self._metrics:  # both take LAPACK a while
            self._at_once(lambda: self._smallest.update(H), lambda: self._limit.ends)
        if self._distances is None and "gram" in self._metrics:
            self._distances = Distances(H.copy(), self._limit.H)
        found = self._of_smallest(H) if "lambda_min" in self._metrics else {}
        return found | (self._distances(H) if self._distances is not None else {})

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
