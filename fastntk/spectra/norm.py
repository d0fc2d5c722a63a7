"""The spectral norm of a difference that changes a little from call to call, at the cost of a few products."""

from typing import Any

import numpy as np

from fastntk.compilation.threads import one_blas_thread
from fastntk.spectra.difference import difference
from fastntk.spectra.eigenvalue import (
    Eigenvalue,
    allowance,
    is_moderate,
    moderate,
    rayleigh,
    require_shape,
    square,
    symmetric,
)
from fastntk.spectra.subspace import furthest, orthonormal
from fastntk.spectra.tracking import SMALL

BLOCK = 4  # vectors kept for each end of the spectrum
_REACH = 1e10  # norms further from 1 than this factor would leave the range of float32
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
    The result is an `Eigenvalue`; its ``vector`` is the direction of largest change.  Proven: the norm is between
    ``lower_bound``, which is the value less its rounding, and ``upper_bound = |A - B|_F``; the value or its negative
    lies within ``residual_bound`` of an eigenvalue of ``A - B``.  That none is larger is not proven, but made unlikely
    by following both ends of the spectrum, several vectors for each, with fresh random directions in every call.
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
        self._block: np.ndarray | None = None
        self._difference: np.ndarray | None = None
        self._shape: tuple[int, ...] | None = None

    @one_blas_thread()
    def update(self, A: Any, B: Any) -> Eigenvalue:
        """The largest absolute eigenvalue of ``A - B``, both (n, n)."""
        check = symmetric if self._shape is None else square
        A, B = check(A, "A"), check(B, "B")
        require_shape(A, self._shape, "A")
        require_shape(B, A.shape, "B")
        self._shape = A.shape
        if len(A) > SMALL and self._difference is None:
            self._difference = np.empty(A.shape, dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            change, exponent = difference(A, B, self._difference), 0
        if not is_moderate(*change.norms, reach=_REACH):
            (A, B), _, exponent = moderate(_REACH, A=A, B=B)
            change = difference(A, B, self._difference)
        rounding = allowance(len(A), sum(change.norms))
        if self._difference is None:
            values, vectors = np.linalg.eigh(A - B)
            vector = np.ascontiguousarray(vectors[:, np.argmax(np.abs(values))])
        else:
            vector = self._iterate(self._difference, rounding)
        value, residual, rounding = rayleigh(A @ vector - B @ vector, vector, rounding)
        value = abs(value)
        low, high = max(0.0, value - rounding), max(value, change.frobenius)
        return Eigenvalue(value, residual, vector, low, high).scaled(exponent)

    def _iterate(self, change: np.ndarray, rounding: float) -> np.ndarray:
        """The vector of the largest absolute eigenvalue of `change`."""

        def product(rows: np.ndarray) -> np.ndarray:
            rows = rows.astype(np.float32)
            # one row: gemv, several times cheaper than a product with one row
            return ((change @ rows[0])[None] if len(rows) == 1 else rows @ change).astype(np.float64)

        block = self._block
        if block is None:
            block = orthonormal(self._rng.standard_normal((2 * BLOCK, len(change))))
        else:  # the innermost vectors of both ends make room for fresh ones
            middle = slice(BLOCK - _FRESH // 2, BLOCK + _FRESH // 2)
            block[middle] = self._rng.standard_normal((_FRESH, len(change)))
            block = orthonormal(block)
        values, self._block = furthest(
            product, block, product(block), lambda value: max(self.rtol * value, rounding), limit=300
        )
        return self._block[np.abs(values).argmax()].copy()
