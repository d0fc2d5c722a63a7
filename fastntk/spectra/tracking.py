"""The smallest eigenvalue of a matrix that changes a little from call to call, with a proven lower bound each time."""

from typing import Any

import numpy as np

from fastntk.compilation.threads import one_blas_thread
from fastntk.kernels.cpu.ritz import images, lowest
from fastntk.spectra.carried import CarriedBound
from fastntk.spectra.difference import single_matrix
from fastntk.spectra.eigenvalue import (
    Eigenvalue,
    allowance,
    factor_above,
    is_moderate,
    lower_bound,
    lowest_dense,
    lowest_with_proof,
    moderate,
    rayleigh,
    require_shape,
    square,
    symmetric,
)
from fastntk.spectra.lapack import inverse_from
from fastntk.spectra.subspace import Ritz, Space

BLOCK = 8  # vectors kept; the convergence rate is set by the gap between the first and the ninth eigenvalue
SMALL = 192  # up to this n LAPACK does the whole job within a millisecond or two
DENSE = 2500  # up to this n a cold start by LAPACK is faster than one by iteration
REACH = 1e10  # norms further from 1 than this factor are scaled: squares would leave the range of float32
_PATIENCE = 60  # surplus rounds that cost about as much as a new preconditioner
_EXPECTED = 4.0 * 2.0**-23  # rounding of a product in single precision, times |H|_F / n^(1/2)
_CLOSER = 0.8  # part of the tolerance that a search in single precision goes to


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
    slack : float
        How far below the value its proven bound may lie, relative to the value.  A wider slack needs fewer proofs.

    Notes
    -----
    Proven of every result: the smallest eigenvalue of H is between ``lower_bound`` and ``upper_bound``, which is the
    value and its rounding.  A Cholesky factorisation of ``H - s I``, s just below the value, proves that no eigenvalue
    lies below ``s``, up to its rounding; for the matrices that follow this bound is lowered by a bound of their
    distance from that H (`CarriedBound`), and once it lies more than ``slack |value|`` below the value, the mean of
    both or the present H is factored.  Where that fails, an eigenvalue was hidden from the search, which begins again.
    So a value errs by at most the slack, whatever H does.  Where H has more than eight eigenvalues at zero every H is
    factored.

    Cost of a call: one pass over H and that of the last proof, with 32 n^2 multiply-adds; two to ten products of H with
    one vector and one with eight, on a copy in single precision where the tolerance allows; one product in double for
    value and residual; now and then a factorisation (n^3 / 3 multiply-adds, in single precision if that leaves the
    slack).  Memory: three n x n matrices in single precision, in double where H is badly conditioned, two more in
    double while factoring.  Symmetry of H is checked in the first call only, because the check would cost as much as
    the update: the bound is one of symmetric matrices.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.spectra import SmallestEigenvalue
    >>> tracker = SmallestEigenvalue()
    >>> float(tracker.update(np.diag([3.0, 1.0, 2.0])))
    1.0
    """

    def __init__(self, rtol: float = 1e-6, seed: int = 0, slack: float = 0.2) -> None:
        for name, number in (("rtol", rtol), ("slack", slack)):
            if not 0.0 < number < 1.0:
                raise ValueError(f"{name} must be between 0 and 1, got {number!r}")
        self.rtol, self.slack = float(rtol), float(slack)
        self._seed = seed
        self._shape: tuple[int, ...] | None = None
        self._exponent = 0  # of the power of two that the matrices were divided by
        self._forget()

    def _forget(self) -> None:
        self._rng = np.random.default_rng(self._seed)
        self._bound = CarriedBound(self.slack)
        self._block: np.ndarray | None = None
        self._inverse: np.ndarray | None = None
        self._single: np.ndarray | None = None  # H in single precision, for the search
        self._search_in_single = False
        self._space: Space | None = None
        self._norm = 0.0  # Frobenius norm of the current H
        self._usual: int | None = None  # rounds of the call after the last preconditioner
        self._surplus = 0  # rounds beyond that since then

    @one_blas_thread()
    def update(self, H: Any, decide: float | None = None) -> Eigenvalue:
        """The smallest eigenvalue of `H` (n, n), with its vector and its bounds.

        Whether the eigenvalue is at least `decide` is told by ``lower_bound``, up to the rounding of a factorisation.
        """
        H = symmetric(H, "H") if self._shape is None else square(H, "H")
        require_shape(H, self._shape, "H")
        self._shape = H.shape
        exponent, norm = 0, None
        if self._single is not None and self._exponent == 0:
            with np.errstate(over="ignore", invalid="ignore"):
                norm = self._bound.look(H, self._single)
        if norm is None or not is_moderate(norm, reach=REACH):
            (H,), (norm,), exponent = moderate(REACH, H=H)
        if len(H) <= SMALL:
            return lowest_with_proof(H, norm).scaled(exponent)
        if self._single is None or exponent != self._exponent:
            self._forget()
            self._single = single_matrix(len(H))
            self._bound.look(H, self._single)
        elif exponent != 0:
            self._bound.look(H, self._single)
        self._norm, self._exponent = norm, exponent
        return self._smallest(H, -np.inf if decide is None else float(np.ldexp(decide, -exponent))).scaled(
            exponent
        )

    def _smallest(self, H: np.ndarray, decide: float) -> Eigenvalue:
        assert self._single is not None
        begun = self._block is not None
        if begun:
            self._follow(H)
        else:
            self._start(H)
        value, residual, rounding, vector = self._pair(H)
        if self._search_in_single and residual > self._tolerance(value):
            self._search_in_single = False
            self._follow(H)
            value, residual, rounding, vector = self._pair(H)
        elif not begun:
            self._search_in_single = _EXPECTED * self._norm / len(H) ** 0.5 < 0.1 * self._tolerance(value)
        enough = self._enough(value, decide)
        lower = self._bound.value
        if not lower >= enough:
            proven = self._bound.prove(H, self._single, value, residual, enough)
            if proven is None and begun:  # an eigenvalue that the search did not see
                self._start(H)
                value, residual, rounding, vector = self._pair(H)
                proven = self._bound.prove(H, self._single, value, residual, self._enough(value, decide))
            lower = self._bound.insist(H, value, residual, self._norm) if proven is None else proven
        return Eigenvalue(value, residual, vector, lower, value + rounding)

    @one_blas_thread()
    def tightened(self, H: Any, found: Eigenvalue) -> float:
        """A lower bound of H as close below the value `found` as a part of its residual, if that can be proven."""
        (H,), (norm,), exponent = moderate(H=square(H, "H"))
        value, residual = (
            float(np.ldexp(number, -exponent)) for number in (found.value, found.residual_bound)
        )
        margin = 0.01 * residual  # the value itself errs by about its square
        tight = float(np.nextafter(np.ldexp(lower_bound(H, value, margin, norm), exponent), -np.inf))
        return max(found.lower_bound, tight)

    def _enough(self, value: float, decide: float) -> float:
        """The least bound that need not be proven better."""
        return max(value - self.slack * abs(value), decide if decide <= value else -np.inf)

    def _pair(self, H: np.ndarray) -> tuple[float, float, float, np.ndarray]:
        """Value, residual bound, rounding and vector of the best pair of the block."""
        assert self._block is not None
        vector, image = self._block[0].astype(np.float64), np.empty((1, len(H)))
        images(H, vector[None], 0, 1, image)
        return *rayleigh(image[0], vector, allowance(len(H), self._norm)), vector

    def _tolerance(self, value: float) -> float:
        assert self._shape is not None
        return max(self.rtol * abs(value), allowance(self._shape[0], self._norm))

    def _improve(self, H: np.ndarray, block: np.ndarray, limit: int) -> Ritz:
        """The block, made orthonormal and refined by `limit` products, in single precision where that is enough."""
        matrix, goal = (self._single, _CLOSER) if self._search_in_single else (H, 1.0)
        assert matrix is not None
        n, kind = len(H), matrix.dtype
        if self._space is None or self._space.rows.dtype != kind:
            self._space = Space.of(matrix, BLOCK)
        begin = np.zeros((len(block), matrix.shape[1]), kind)
        begin[:, :n] = block
        inverse = np.empty((0, 0), kind) if self._inverse is None else self._inverse
        if inverse.size and (inverse.dtype != kind or inverse.shape != matrix.shape):
            self._inverse = inverse = _like(matrix, inverse[:, :n])
        floor = goal * allowance(n, self._norm)
        values, *found = lowest(matrix, inverse, begin, *self._space, goal * self.rtol, floor, limit)
        self._block = self._space.rows[: len(values), :n].copy()
        return Ritz(values, self._block, *found)

    def _follow(self, H: np.ndarray) -> None:
        """The usual call: a few rounds from the previous block; a new preconditioner when it is time to."""
        assert self._block is not None
        ritz = self._improve(H, self._block, limit=3 * BLOCK)
        self._usual = ritz.rounds if self._usual is None else self._usual
        self._surplus += max(0, ritz.rounds - self._usual)
        if ritz.converged and self._surplus < _PATIENCE:
            return
        if self._search_in_single:
            value, residual, _, _ = self._pair(H)
            if abs(residual - ritz.residual) > 0.1 * self._tolerance(value):  # it sees rounding, not H
                self._search_in_single = False
                self._follow(H)
                return
        renewed = self._renew(H, ritz)
        if renewed and not ritz.converged:
            ritz = self._improve(H, ritz.rows, limit=10 * BLOCK)
        if not (renewed and ritz.converged):
            self._start(H)

    def _renew(self, H: np.ndarray, ritz: Ritz) -> bool:
        """Take the inverse of H, shifted to below the block, as preconditioner; False if something lies below that."""
        spread = float(ritz.values[-1] - ritz.values[0])
        margin = max(0.3 * spread + ritz.residual, 10.0 * allowance(ritz.rows.shape[1], self._norm))
        shift = float(ritz.values[0]) - margin
        factored = factor_above(H, shift, np.float32) if self._search_in_single else None
        factored = factored or factor_above(H, shift)
        if factored is None:
            return False
        inverse = inverse_from(factored[0])
        inverse *= margin  # largest eigenvalue at most about 1, whatever the units of H
        self._inverse = inverse
        self._surplus, self._usual = 0, None
        return True

    def _start(self, H: np.ndarray) -> None:
        """From nothing: the lowest eigenvectors."""
        self._inverse = None
        if len(H) > DENSE and self._start_iteratively(H):
            return
        values, self._block = lowest_dense(H, BLOCK)
        # where LAPACK's own backward error exceeds the margin there is no preconditioner
        self._renew(H, Ritz(values, self._block, 0.0, 0, True))

    def _start_iteratively(self, H: np.ndarray) -> bool:
        """Krylov vectors of a random block, then a shift below them; False if that fails."""
        ritz = self._improve(H, self._rng.standard_normal((BLOCK, len(H))), limit=40)
        for _ in range(12):
            if self._renew(H, ritz):
                ritz = self._improve(H, ritz.rows, limit=10 * BLOCK)
                if ritz.converged:
                    return True
            # the spectrum reaches further down than the block has seen, or the shift is too far off
            ritz.residual = 4.0 * max(ritz.residual, allowance(len(H), self._norm))
        return False


def _like(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values in the layout and precision of a matrix."""
    found = np.zeros_like(matrix)
    found[:, : values.shape[1]] = values
    return found
