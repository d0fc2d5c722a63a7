"""A proven lower bound of a spectrum, carried from one matrix to the next."""

import numpy as np

from fastntk.spectra.difference import Difference, difference, off_diagonal
from fastntk.spectra.eigenvalue import factor_above, lower_bound, proven_below

_EPS = float(np.finfo(np.float64).eps)


class CarriedBound:
    """No eigenvalue of ``H`` lies below ``at(H)``: what was proven of another matrix A, less the change from it.

    Notes
    -----
    Weyl: ``lambda_min(H) >= lambda_min(A) + lambda_min(H - A)``, and with D the diagonal of ``H - A`` and O the rest,
    ``lambda_min(H - A) >= min D - |O|_2``.  The change is taken from A, not from the last call, so that no sum of many
    small changes can hide anything.  A Cholesky factorisation proves the bound of A (`factor_above`).  A is an earlier
    matrix or half way between the last A and H: where patterns alternate between two states, that serves both.
    """

    def __init__(self) -> None:
        self._matrix: np.ndarray | None = None  # A, in memory of its own
        self._proven = -np.inf
        self._value = -np.inf  # its smallest eigenvalue, or less, as far as is known
        self._apart: Difference | None = None
        self._change = -np.inf  # how far ``H - A`` can lower an eigenvalue

    def look(self, H: np.ndarray) -> float | None:
        """Take the next matrix: one pass over it and A, which also gives ``|H|_F``; None before the first proof."""
        self._apart = None if self._matrix is None else difference(H, self._matrix)
        return None if self._apart is None else self._apart.norms[0]

    def at(self, H: np.ndarray, enough: float = np.inf) -> float:
        """The bound of the matrix looked at; a second pass unless ``|O|_F`` is enough.  -inf before the first proof."""
        if self._matrix is None or self._apart is None:
            return -np.inf
        apart = self._apart
        self._change = apart.least - apart.rest
        if self._carried() < enough:
            self._change = apart.least - min(apart.rest, off_diagonal(H, self._matrix, apart.rest))
        return self._carried()

    def _carried(self) -> float:
        return self._proven + self._change - 4.0 * _EPS * (abs(self._proven) + abs(self._change))

    def prove(self, H: np.ndarray, value: float, margin: float, enough: float) -> float | None:
        """Prove a bound about `margin` below `value`, or one above `enough` if that is cheaper; None if it is not so.

        Asked for after the call of `at` that was not enough.
        """
        if self._matrix is not None:
            between = 0.5 * (self._value + value)  # not above that of the mean, since lambda_min is concave
            if between - margin + 0.5 * self._change > enough and self._halfway(H, between, margin):
                self.look(H)
                bound = self.at(H, enough)
                if bound >= enough:
                    return bound
        return self._proven_at(H, value, margin, value - enough)

    def _halfway(self, H: np.ndarray, value: float, margin: float) -> bool:
        """Prove a bound of the mean of A and H, the new A, whose smallest eigenvalue is not below `value`."""
        assert self._matrix is not None
        self._matrix += H
        self._matrix *= 0.5
        shift = value - margin - 2.0 * _rounding(len(H), value, _trace(self._matrix, value, margin))
        factored = factor_above(self._matrix, shift)
        self._value, self._proven = (-np.inf, -np.inf) if factored is None else (value, factored[1])
        return factored is not None

    def _proven_at(self, H: np.ndarray, value: float, margin: float, slack: float) -> float | None:
        """Single precision takes less than half the time: it is used where what it leaves open is within the slack."""
        trace = _trace(H, value, margin)
        for kind in (np.float32, np.float64):
            rounding = _rounding(len(H), value, trace, kind)
            if kind is np.float64:  # so far below that only an eigenvalue below can stop it
                shift = value - margin - 2.0 * rounding
            elif rounding < 0.5 * slack and 1e-12 < trace < 1e12:
                shift = value - margin - 0.1 * rounding
            else:
                continue
            factored = factor_above(H, shift, kind)
            if factored is not None:
                return self._keep(H, value, factored[1])
        return None

    def insist(self, H: np.ndarray, value: float, margin: float, norm: float) -> float:
        """Prove some bound of H, as close below `value` as goes, for a matrix of that Frobenius norm."""
        return self._keep(H, value, lower_bound(H, value, margin, norm))

    def _keep(self, H: np.ndarray, value: float, proven: float) -> float:
        if self._matrix is None:
            self._matrix = np.empty_like(H)
        np.copyto(self._matrix, H)
        self._value, self._proven = value, proven
        return proven


def _trace(H: np.ndarray, value: float, margin: float) -> float:
    """That of H less a shift of about `margin` below `value`."""
    return max(float(np.trace(H)) - len(H) * value, 0.0) + len(H) * margin


def _rounding(n: int, value: float, trace: float, kind: type = np.float64) -> float:
    """How far below its shift a proof ends."""
    return value - proven_below(value, n, trace, kind)
