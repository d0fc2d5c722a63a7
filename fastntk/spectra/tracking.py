"""The smallest eigenvalue of a matrix that changes a little from call to call, at the cost of a few products."""

from typing import Any

import numpy as np

from fastntk.spectra.eigenvalue import (
    Eigenvalue,
    allowance,
    factor_above,
    frobenius,
    inverse_from,
    lower_bound,
    lowest_dense,
    lowest_with_proof,
    rayleigh,
    require_shape,
    square,
    symmetric,
)
from fastntk.spectra.subspace import Ritz, orthonormal, refine

BLOCK = 8  # vectors kept; the convergence rate is set by the gap between the first and the ninth eigenvalue
SMALL = 192  # up to this n LAPACK does the whole job within a millisecond or two
DENSE = 2500  # up to this n a cold start by LAPACK is faster than one by iteration
_PROBES = 4  # random rows whose images estimate how far the matrix has moved
_PATIENCE = 60  # surplus rounds that cost about as much as a new factorisation
_AGE = 100  # calls after which the eigenvalue is proven again whatever happens


class SmallestEigenvalue:
    """Smallest eigenvalue of a slowly changing symmetric matrix, warm-started from the call before.

    ``update(H)`` projects H onto the eight lowest Ritz vectors of the previous call and enlarges that subspace by
    residuals multiplied with ``(H_ref - s I)^-1``, H_ref an earlier H and s a number below its spectrum, until
    ``|H v - value v| <= rtol |value|``.

    Parameters
    ----------
    rtol : float
        Residual asked for, relative to the eigenvalue (and never below what rounding allows).  The eigenvalue
        itself is more accurate: its error is about residual^2 / gap.
    seed : int
        Seed of the random probes; equal seeds and matrices give equal results.

    Notes
    -----
    What is certain: an eigenvalue of H lies within ``residual_bound`` of the value returned, and the value is not
    below the smallest eigenvalue (up to rounding).  That it *is* the smallest is proven, by a Cholesky
    factorisation of ``H - s I`` with s just below the value, in the first call, whenever convergence slows down,
    whenever random probes see H jump, and at least every 100 calls; such a call sets ``outer_bound`` to the proven
    lower bound.  In between, with ``outer_bound = -inf``, Weyl's inequality limits what can have been missed: the
    smallest eigenvalue is at least the last ``outer_bound`` minus the norm of the change of H since then.

    Cost of a call: about ten products of H with one vector and two with eight; now and then a factorisation
    (n^3 multiply-adds).  Memory: one n x n matrix in single precision (double where H is badly conditioned) and
    O(n).  Symmetry of H is checked in the first call only, because the check would cost as much as the update.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.spectra import SmallestEigenvalue
    >>> tracker = SmallestEigenvalue()
    >>> float(tracker.update(np.diag([3.0, 1.0, 2.0])))
    1.0
    """

    def __init__(self, rtol: float = 1e-6, seed: int = 0) -> None:
        if not 0.0 < rtol < 1.0:
            raise ValueError(f"rtol must be between 0 and 1, got {rtol!r}")
        self.rtol = float(rtol)
        self._rng = np.random.default_rng(seed)
        self._shape: tuple[int, ...] | None = None
        self._block: np.ndarray | None = None
        self._inverse: np.ndarray | None = None
        self._norm = 0.0  # Frobenius norm of the current H
        self._probes = self._images = np.empty((0, 0))  # random rows, and their images under the last H
        # largest change of H between two calls since the last proof (estimate of its Frobenius norm)
        self._largest_change = np.inf
        self._proven_margin = 0.0  # distance between the lowest Ritz value and the bound proven last
        self._usual: int | None = None  # rounds of the call after the last factorisation
        self._surplus = 0  # rounds beyond that since then
        self._age = 0  # calls since then

    def update(self, H: Any) -> Eigenvalue:
        """The smallest eigenvalue of `H` (n, n), with its residual bound and vector."""
        H = symmetric(H, "H") if self._shape is None else square(H, "H")
        require_shape(H, self._shape, "H")
        self._norm = frobenius(H, "H")
        self._shape = H.shape
        n = len(H)
        if n <= SMALL:
            return lowest_with_proof(H, self._norm)
        bound = -np.inf
        if self._block is None:
            self._probes = self._rng.standard_normal((_PROBES, n)) / np.sqrt(_PROBES)
            self._images = self._probes @ H
            bound = self._start(H)
        else:
            mapped = np.concatenate([self._block, self._probes]) @ H
            images, probed = mapped[: len(self._block)], mapped[len(self._block) :]
            change = float(np.linalg.norm(probed - self._images))
            # a change within the margin of the last proof cannot hide a lower eigenvalue (Weyl)
            jumped = change > 4.0 * max(self._largest_change, self._proven_margin)
            self._images = probed
            bound = self._follow(H, images, jumped)
            due = bound > -np.inf or np.isinf(self._largest_change)
            self._largest_change = change if due else max(self._largest_change, change)
        assert self._block is not None
        vector = self._block[0].copy()
        value, residual = rayleigh(H @ vector, vector, allowance(n, self._norm))
        return Eigenvalue(value, residual, vector, bound)

    def _tolerance(self, value: float) -> float:
        assert self._shape is not None
        return max(self.rtol * abs(value), allowance(self._shape[0], self._norm))

    def _precondition(self, rows: np.ndarray) -> np.ndarray:
        assert self._inverse is not None
        # unit length first: single precision must not underflow when the residual is tiny
        lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        scaled = (rows / lengths).astype(self._inverse.dtype, copy=False)
        if len(scaled) == 1:  # gemv: several times cheaper than a product with one column
            return (self._inverse @ scaled[0])[None].astype(np.float64, copy=False)
        return (scaled @ self._inverse).astype(np.float64, copy=False)

    def _improve(self, H: np.ndarray, block: np.ndarray, images: np.ndarray, limit: int) -> Ritz:
        def product(rows: np.ndarray) -> np.ndarray:
            return (H @ rows[0])[None] if len(rows) == 1 else rows @ H

        precondition = None if self._inverse is None else self._precondition
        ritz = refine(product, block, images, self._tolerance, limit, precondition)
        self._block = ritz.rows
        return ritz

    def _follow(self, H: np.ndarray, images: np.ndarray, jumped: bool) -> float:
        """The usual call: a few rounds from the previous block; prove anew when it is time to."""
        assert self._block is not None
        ritz = self._improve(H, self._block, images, limit=3 * BLOCK)
        self._age += 1
        if self._usual is None:
            self._usual = ritz.rounds
        self._surplus += max(0, ritz.rounds - self._usual)
        if ritz.converged and not jumped and self._surplus < _PATIENCE and self._age < _AGE:
            return -np.inf
        bound = self._renew(H, ritz)
        self._block = block = orthonormal(ritz.rows)  # rounding does not add up over thousands of calls
        if bound is not None and not ritz.converged:
            ritz = self._improve(H, block, block @ H, limit=10 * BLOCK)
            # it may have left the eigenvalue that the proof was about only downwards, so the proof stands
        return self._start(H) if bound is None or not ritz.converged else bound

    def _margin(self, ritz: Ritz) -> float:
        """How far below the lowest Ritz value the shift goes: a fraction of the spread of the block."""
        spread = float(ritz.values[-1] - ritz.values[0])
        return max(0.3 * spread + ritz.residual, 10.0 * allowance(ritz.rows.shape[1], self._norm))

    def _renew(self, H: np.ndarray, ritz: Ritz) -> float | None:
        """Prove that nothing lies below the block and take the factor as the new preconditioner; None if not so."""
        margin = self._margin(ritz)
        factored = factor_above(H, float(ritz.values[0]) - margin)
        if factored is None:
            return None
        inverse = inverse_from(factored[0])
        inverse *= margin  # largest eigenvalue at most about 1, whatever the units of H
        # single precision halves the traffic; its rounding must stay small against the smallest eigenvalue of
        # the shifted matrix
        self._inverse = inverse.astype(np.float32) if margin > 1e-5 * self._norm else inverse
        self._proven_margin = margin
        self._surplus = self._age = 0
        self._usual = None
        return factored[1]

    def _start(self, H: np.ndarray) -> float:
        """From nothing: the lowest eigenvectors, proven to be the lowest."""
        n = len(H)
        self._inverse = None
        if n > DENSE:
            bound = self._start_iteratively(H)
            if bound is not None:
                return bound
        values, self._block = lowest_dense(H, BLOCK)
        bound = self._renew(H, Ritz(values, self._block, 0.0, 0, True))
        if bound is None:  # LAPACK's own backward error exceeds the margin: go without a preconditioner
            return lower_bound(H, float(values[0]), allowance(n, self._norm))
        return bound

    def _start_iteratively(self, H: np.ndarray) -> float | None:
        """Krylov vectors of a random block, then a shift below them; None if that fails."""
        block = orthonormal(self._rng.standard_normal((BLOCK, len(H))))
        ritz = self._improve(H, block, block @ H, limit=40)
        for _ in range(12):
            if self._renew(H, ritz) is not None:
                block = orthonormal(ritz.rows)
                ritz = self._improve(H, block, block @ H, limit=10 * BLOCK)
                factored = (
                    factor_above(H, float(ritz.values[0]) - self._margin(ritz)) if ritz.converged else None
                )
                if factored is not None:
                    return factored[1]
            # the spectrum reaches further down than the block has seen, or the shift is too far off
            ritz.residual = 4.0 * max(ritz.residual, allowance(len(H), self._norm))
        return None
