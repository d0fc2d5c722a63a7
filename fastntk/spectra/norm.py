"""The spectral norm of a difference that changes a little from call to call, at the cost of a few products."""

from typing import Any

import numpy as np

from fastntk.spectra.eigenvalue import (
    Eigenvalue,
    allowance,
    frobenius,
    rayleigh,
    require_shape,
    square,
    symmetric,
)
from fastntk.spectra.subspace import Ritz, orthonormal, refine
from fastntk.spectra.tracking import BLOCK, SMALL

_FRESH = 2  # random vectors that replace the last ones of the block in every call


class SpectralNorm:
    """``|A - B|_2`` of symmetric matrices that change slowly, warm-started from the call before.

    The search runs on a float32 copy of the difference; the value and its residual come from A and B in float64.

    Parameters
    ----------
    rtol : float
        Residual asked for, relative to the norm.  The norm itself is more accurate (error about residual^2 / gap).
    seed : int
        Seed of the random vectors; equal seeds and matrices give equal results.

    Notes
    -----
    The result is an `Eigenvalue` (its ``vector`` v is the direction of largest change, ``outer_bound`` is inf).
    Both ends of the spectrum are followed.  Certain: ``|A - B|_2 >= value`` up to rounding, and the value or its
    negative lies within ``residual_bound`` of an eigenvalue of ``A - B``.  That none is larger is not proven; it is
    made unlikely by a block of several vectors for each end and by fresh random directions in every call.
    Cost: about ten products with the float32 difference for each end, ``4 n^2`` bytes of
    scratch.  Symmetry is checked in the first call only.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.spectra import SpectralNorm
    >>> float(SpectralNorm().update(np.diag([1.0, 5.0]), np.diag([1.0, 8.0])))
    3.0
    """

    def __init__(self, rtol: float = 1e-3, seed: int = 0) -> None:
        if not 0.0 < rtol < 1.0:
            raise ValueError(f"rtol must be between 0 and 1, got {rtol!r}")
        self.rtol = float(rtol)
        self._rng = np.random.default_rng(seed)
        self._blocks: list[np.ndarray | None] = [None, None]
        self._difference: np.ndarray | None = None
        self._shape: tuple[int, ...] | None = None

    def update(self, A: Any, B: Any) -> Eigenvalue:
        """The largest absolute eigenvalue of ``A - B``, both (n, n)."""
        check = symmetric if self._shape is None else square
        A, B = check(A, "A"), check(B, "B")
        require_shape(A, self._shape, "A")
        require_shape(B, A.shape, "B")
        self._shape = A.shape
        n = len(A)
        rounding = allowance(n, frobenius(A, "A") + frobenius(B, "B"))
        if n <= SMALL:
            values, vectors = np.linalg.eigh(A - B)
            vector = np.ascontiguousarray(vectors[:, np.argmax(np.abs(values))])
        else:
            vector = self._iterate(A, B, rounding)
        value, residual = rayleigh(A @ vector - B @ vector, vector, rounding)
        return Eigenvalue(abs(value), residual, vector.copy(), np.inf)

    def _iterate(self, A: np.ndarray, B: np.ndarray, rounding: float) -> np.ndarray:
        # Products are bound by memory: float32 halves the bytes of one matrix where two would have to be read.
        kind = np.float32 if 1e-30 < rounding < 1e30 else np.float64
        if self._difference is None or self._difference.dtype != kind:
            self._difference = np.empty(A.shape, dtype=kind)
        difference = np.subtract(A, B, out=self._difference, dtype=np.float64, casting="same_kind")

        # Each end of the spectrum on its own: the one that is smaller in size today may be the larger one tomorrow, and
        # a search by size that has settled on one end does not look at the other.
        lowest = [self._end(difference, end, rounding) for end in (0, 1)]
        return max(lowest, key=lambda ritz: -float(ritz.values[0])).rows[0]

    def _end(self, difference: np.ndarray, end: int, rounding: float) -> Ritz:
        """The smallest eigenvalue of the difference (end 0) or of its negative (end 1)."""
        kind, sign = difference.dtype, 1 - 2 * end

        def product(rows: np.ndarray) -> np.ndarray:
            return (rows.astype(kind) @ difference).astype(np.float64) * sign

        before = self._blocks[end]
        fresh = self._rng.standard_normal((BLOCK if before is None else _FRESH, len(difference)))
        block = orthonormal(fresh if before is None else np.concatenate([before[:-_FRESH], fresh]))
        ritz = refine(
            product, block, product(block), lambda value: max(self.rtol * abs(value), rounding), limit=300
        )
        self._blocks[end] = ritz.rows
        return ritz
