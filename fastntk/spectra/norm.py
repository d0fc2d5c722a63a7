"""The spectral norm of a difference that changes a little from call to call, at the cost of a few products."""

from typing import Any

import numpy as np

from fastntk.compilation.threads import one_blas_thread
from fastntk.kernels.cpu.ritz import furthest
from fastntk.spectra.difference import difference, single_matrix
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
from fastntk.spectra.subspace import Space
from fastntk.spectra.tracking import REACH, SMALL

BLOCK = 2  # vectors kept for each end of the spectrum, beside a fresh random one in every call
_PRODUCTS = 300  # at most, in one


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
    by following both ends of the spectrum, two vectors for each, with a fresh random direction in every call.
    Cost: about ten products with the float32 difference, ``4 n^2`` bytes of scratch.  Symmetry is checked
    in the first call only.

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
        self._space: Space | None = None
        self._found = False
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
            self._difference = single_matrix(len(A))
        with np.errstate(over="ignore", invalid="ignore"):
            *norms, apart = difference(A, B, self._difference)
        exponent = 0
        if not is_moderate(*norms, reach=REACH):
            (A, B), _, exponent = moderate(REACH, A=A, B=B)
            *norms, apart = difference(A, B, self._difference)
        rounding = allowance(len(A), sum(norms))
        if self._difference is None:
            values, vectors = np.linalg.eigh(A - B)
            vector = np.ascontiguousarray(vectors[:, np.argmax(np.abs(values))])
        else:
            vector = self._iterate(self._difference, rounding)[1]
        value, residual, rounding = rayleigh(A @ vector - B @ vector, vector, rounding)
        value = abs(value)
        low, high = max(0.0, value - rounding), max(value, apart)
        return Eigenvalue(value, residual, vector, low, high).scaled(exponent)

    @one_blas_thread()
    def of(self, change: np.ndarray, rounding: float) -> float:
        """``|change|_2`` of a difference in a `single_matrix`, symmetric; `rounding` is that of what it was made from.

        The largest Ritz value in size, so not above the norm but for single rounding, and without bounds.
        """
        return self._iterate(change, rounding)[0]

    def _iterate(self, change: np.ndarray, rounding: float) -> tuple[float, np.ndarray]:
        """The largest absolute eigenvalue of `change` and its vector."""
        n = len(change)
        if self._space is None:
            self._space = Space.of(change, 2 * BLOCK + 1)
        block = np.zeros((2 * BLOCK + 1 if self._found else 2 * BLOCK, change.shape[1]), np.float32)
        kept = 2 * BLOCK if self._found else 0
        block[:kept] = self._space.rows[:kept]
        block[kept:, :n] = self._rng.standard_normal((len(block) - kept, n))
        values = furthest(change, block, *self._space, BLOCK, self.rtol, rounding, _PRODUCTS)
        self._found = True
        most = np.abs(values).argmax()
        return float(np.abs(values[most])), self._space.rows[most, :n].astype(np.float64)
