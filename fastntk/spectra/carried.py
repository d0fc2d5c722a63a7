"""A proven lower bound of a spectrum, carried from one matrix to the next."""

import numpy as np

from fastntk.spectra.difference import difference
from fastntk.spectra.eigenvalue import factor_above, lower_bound, proven_below

_EPS = float(np.finfo(np.float64).eps)


class CarriedBound:
    """No eigenvalue of ``H`` lies below ``at(H)``: what was proven of an earlier matrix, less the change since then.

    Notes
    -----
    Weyl: ``lambda_min(H) >= lambda_min(A) + lambda_min(H - A)``, and with D the diagonal of ``H - A`` and O the rest,
    ``lambda_min(H - A) >= min D - |O|_F``.  The change is taken from the last proof, not from the last call, so that
    no sum of many small changes can hide anything.  A Cholesky factorisation proves the bound of A (`factor_above`).
    """

    def __init__(self) -> None:
        self._matrix: np.ndarray | None = None  # that of the last proof, a copy
        self._proven = -np.inf

    def at(self, H: np.ndarray) -> float:
        """The bound of H, by one pass over it; -inf before the first proof."""
        if self._matrix is None:
            return -np.inf
        change = difference(H, self._matrix).lowest
        return self._proven + change - 4.0 * _EPS * (abs(self._proven) + abs(change))

    def prove(self, H: np.ndarray, value: float, margin: float, slack: float) -> float | None:
        """Prove a bound about `margin` below `value`, or up to `slack` where that is cheaper; None if it is not so.

        Single precision takes less than half the time: it is used where what it leaves open is within the slack.
        """
        trace = max(float(np.trace(H)) - len(H) * value, 0.0) + len(H) * margin
        for kind in (np.float32, np.float64):
            rounding = value - proven_below(value, len(H), trace, kind)
            if kind is np.float64:
                shift = (
                    value - margin - 2.0 * rounding
                )  # so far below that only an eigenvalue below can stop it
            elif rounding < 0.5 * slack and 1e-12 < trace < 1e12:
                shift = value - margin - 0.1 * rounding
            else:
                continue
            factored = factor_above(H, shift, kind)
            if factored is not None:
                return self._keep(H, factored[1])
        return None

    def insist(self, H: np.ndarray, value: float, margin: float, norm: float) -> float:
        """Prove some bound of H, as close below `value` as goes, for a matrix of that Frobenius norm."""
        return self._keep(H, lower_bound(H, value, margin, norm))

    def _keep(self, H: np.ndarray, proven: float) -> float:
        if self._matrix is None:
            self._matrix = np.empty_like(H)
        np.copyto(self._matrix, H)
        self._proven = proven
        return proven
