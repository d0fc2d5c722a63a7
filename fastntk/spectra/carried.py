"""A proven lower bound of a spectrum, carried from one matrix to the next."""

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.kernels.cpu.block_norms import ROWS, look
from fastntk.kernels.scratch import thread_slots
from fastntk.spectra.eigenvalue import factor_above, lower_bound, proven_below

_EPS = float(np.finfo(np.float64).eps)
_SINGLE = float(np.finfo(np.float32).eps)
_LOST = 1e-37  # more than a number loses below the range of single precision
_SHARE = 0.05  # of the slack, that rounding a matrix to single precision may take


class CarriedBound:
    """No eigenvalue of ``H`` lies below ``value``: what was proven of a matrix A, less the change from it.

    Parameters
    ----------
    slack : float
        How far the bound may lie below the smallest eigenvalue, relative to it.

    Notes
    -----
    Weyl: ``lambda_min(H) >= lambda_min(A) + lambda_min(H - A)``, and with D the diagonal of ``H - A`` and O the rest,
    ``lambda_min(H - A) >= min D - |O|_2``.  The change is taken from A, not from the last call, so that no sum of many
    small changes can hide anything.  A Cholesky factorisation proves the bound of A (`factor_above`).  A is an earlier
    matrix or half way between the last A and H: where patterns alternate between two states, that serves both.

    Where the slack allows, A is such a matrix rounded to single precision, and exactly that: half the traffic.
    """

    def __init__(self, slack: float) -> None:
        self._slack = slack
        self._matrix: np.ndarray | None = None  # A, in memory of its own
        self._proven = -np.inf
        self._about = -np.inf  # its smallest eigenvalue, or less, as far as is known
        self._scale = 1.0  # the power of two that makes A about 1
        self._scratch: list[np.ndarray] | None = None
        self._change = -np.inf  # how far ``H - A`` can lower an eigenvalue

    def look(self, H: np.ndarray, single: np.ndarray) -> float | None:
        """Take the next matrix: one pass over it and A, which also rounds H to `single` and gives ``|H|_F``.

        None before the first proof.

        With O_J blocks of rows of O, ``|O|_2^2 <= sum_J |O_J|_2^2``, and a block's is a bound of the spectrum of
        ``O_J O_J^T``.  Where O is of many small independent entries that is about a fifth of ``|O|_F``, at n = 1000.
        """
        A, n = self._matrix, len(H)
        if A is None:
            single[:, :n] = H
            return None
        if self._scratch is None:
            shapes = (ROWS, single.shape[1]), (2, ROWS, ROWS)
            self._scratch = [aligned_zeros((thread_slots(), *shape), np.float32) for shape in shapes]
        found = np.empty((-(-n // ROWS), 3))
        look(H, A, self._scale, single, *self._scratch, found)
        bounds, apart, size = (float(each) for each in found.sum(axis=0))
        diagonal = H.diagonal() - A.diagonal()
        least = float(diagonal.min())
        # relative rounding of sums of n^2 squares and of the differences
        slack = (n * n + 8) * _EPS
        rest = max(apart * (1.0 + slack) - float(diagonal @ diagonal) * (1.0 - slack), 0.0)
        # In units that make H about 1, an inner product is off by less than n / 16 + 5 times eps / 2 |e_a| |e_b|, and
        # G of a block by that times sum |e_a|^2, which may count twice: in the largest entry and in the rest.  With
        # the rounding of ``G - c I`` that is below n eps sum |e_a|^2 in all, but for squares below the range of
        # float32.  The entries are off by eps / 2.
        scaled = rest * self._scale**2
        bounds += n * _SINGLE * scaled + n * n * _LOST
        rows = (float(np.sqrt(bounds)) + _SINGLE * float(np.sqrt(scaled))) / self._scale
        off = min(rows, float(np.sqrt(rest)) + n * 1e-150) * (1.0 + slack)
        self._change = least - 4.0 * _EPS * abs(least) - off
        return float(np.sqrt(size))

    @property
    def value(self) -> float:
        """The bound of the matrix looked at; -inf before the first proof."""
        if self._matrix is None:
            return -np.inf
        return self._proven + self._change - 4.0 * _EPS * (abs(self._proven) + abs(self._change))

    def prove(
        self, H: np.ndarray, single: np.ndarray, value: float, margin: float, enough: float
    ) -> float | None:
        """Prove a bound about `margin` below `value`, or one above `enough` if that is cheaper; None if it is not so.

        Asked for where `value` is not enough.
        """
        if self._matrix is not None:
            between = 0.5 * (self._about + value)  # not above that of the mean, since lambda_min is concave
            if between - margin + 0.5 * self._change > enough and self._halfway(H, between, margin):
                self.look(H, single)
                if self.value >= enough:
                    return self.value
        return self._proven_at(H, value, margin, value - enough)

    def _halfway(self, H: np.ndarray, value: float, margin: float) -> bool:
        """Prove a bound of the mean of A and H, the new A, whose smallest eigenvalue is not below `value`."""
        assert self._matrix is not None
        np.add(self._matrix, H, out=self._matrix, casting="same_kind")
        self._matrix *= 0.5
        shift = value - margin - 2.0 * _rounding(len(H), value, _trace(self._matrix, value, margin))
        factored = factor_above(self._matrix, shift)
        self._about, self._proven = (-np.inf, -np.inf) if factored is None else (value, factored[1])
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
        """Make H, or what is left of it in single precision, the new A; the bound of H, which was `proven`."""
        norm = float(np.linalg.norm(H))
        rounding = 0.5 * _SINGLE * norm * (1.0 + 1e-6) + len(H) * _LOST
        single = rounding < _SHARE * self._slack * abs(value)
        kind = np.float32 if single else np.float64
        if self._matrix is None or self._matrix.dtype != kind:
            self._matrix = np.empty(H.shape, kind)
        np.copyto(self._matrix, H, casting="same_kind")
        self._change = -np.inf  # it was that from the A before
        self._scale = float(np.ldexp(1.0, -int(np.frexp(norm)[1])))
        self._about, self._proven = value, proven - (rounding + 2.0 * _EPS * abs(proven) if single else 0.0)
        return proven


def _trace(H: np.ndarray, value: float, margin: float) -> float:
    """That of H less a shift of about `margin` below `value`."""
    return max(float(np.trace(H, dtype=np.float64)) - len(H) * value, 0.0) + len(H) * margin


def _rounding(n: int, value: float, trace: float, kind: type = np.float64) -> float:
    """How far below its shift a proof ends."""
    return value - proven_below(value, n, trace, kind)
