"""`fastntk.spectra.tracking` for batches of matrices on a GPU: what a run logs, many steps at a time.

The trackers of the host look at every vector they add.  A GPU would wait for that: thirty round trips of some 30
microseconds and as many small eigenvalue problems a step, some milliseconds.  Here the matrices of a batch are searched
at the same time (`subspace`), from one block and with one preconditioner, since eigenvectors hardly move along a run.
By arithmetic for an H200, n = 1000 and 64 steps: a look takes 5 ms of the host (0.07 ms a member), the
products between two looks 4 to 7 ms; two to four looks for each of three numbers make 70 to 120 ms, 1.1 to 1.9 ms a
step, half of it on the host.  Not measured on a GPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastntk.cuda.spectra.dense import eigenvectors, factor_above, images_of, inverse_from
from fastntk.cuda.spectra.subspace import Ritz, Subspace
from fastntk.device.arrays import empty
from fastntk.kernels.cuda.subspace import BLOCK, quotients
from fastntk.spectra.eigenvalue import Eigenvalue, allowance, lower_bound, lowest_with_proof, rayleigh
from fastntk.spectra.tracking import SMALL

_LOOKS = 12  # after the first: then LAPACK's counterpart does the job
_AGE = 64  # steps after which the eigenvalue is proven again whatever happens
_FRESH = 2  # random vectors that replace the last ones of the block of `SpectralNorms` in every batch
_NORM_LOOKS = 16


@dataclass
class Eigenvalues:
    """One eigenvalue of each matrix of a batch; the fields are those of `Eigenvalue`."""

    values: np.ndarray
    residual_bounds: np.ndarray
    outer_bounds: np.ndarray
    vector: Callable[[int], Any]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, b: int) -> Eigenvalue:
        values = self.values[b], self.residual_bounds[b]  # raise IndexError beyond the last
        return Eigenvalue(*values, self.vector(b), self.outer_bounds[b])

    def replace(self, b: int, found: Eigenvalue) -> None:
        """Take another one for a matrix."""
        others = self.vector
        self.values[b], self.residual_bounds[b] = found.value, found.residual_bound
        self.outer_bounds[b] = found.outer_bound
        self.vector = lambda member: found.vector if member == b else others(member)


def _gathered(found: list[Eigenvalue]) -> Eigenvalues:
    values, residuals, outer = np.array([(one.value, one.residual_bound, one.outer_bound) for one in found]).T
    return Eigenvalues(values, residuals, outer, lambda b: found[b].vector)


def lowest_there(matrix: Any, norm: float, rows: Any) -> Eigenvalue:
    """The first of the eigenvectors `rows` as the smallest eigenvalue, and a proven lower bound."""
    values, residuals = measured(matrix, rows[:1])
    value, bound = float(values[0]), float(residuals[0]) + allowance(len(matrix), norm)
    return Eigenvalue(value, bound, rows[0], lower_bound(matrix, value, bound, factor_above))


def measured(matrix: Any, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rayleigh quotients and residual norms of vectors (k, n)."""
    k, n = rows.shape
    values, norms = empty((1, k), np.float64), empty((1, k), np.float64)
    images = images_of(matrix, rows)
    quotients(rows.reshape(1, k, n), images.reshape(1, k, n), k, values, norms)
    return values.copy_to_host()[0], norms.copy_to_host()[0]


class SmallestEigenvalues:
    """Smallest eigenvalues of matrices that change slowly, batch by batch; see `SmallestEigenvalue`.

    Residual bounds are the same.  That a value is the smallest is proven for the first matrix, for the last of a batch
    once 64 matrices have passed or convergence has slowed down, and for each before which H has jumped, or whose
    iteration has not converged.
    """

    def __init__(self, rtol: float = 1e-6) -> None:
        self.rtol = rtol
        self._block: np.ndarray | None = None
        self._inverse: Any = None
        self._margin = 0.0  # between the lowest value and the bound proven last
        self._largest_change = 0.0  # of H between two matrices since the last jump
        self._usual: int | None = None  # looks of the batch after the last factorisation
        self._age = 0  # matrices since then
        self._begun = False

    def start(self, H: Any, norm: float) -> tuple[np.ndarray, Any]:
        """Begin, or begin again, at H (n, n): all its eigenvalues, and their vectors as rows."""
        values, rows = eigenvectors(H)
        self._block = np.asarray(rows[:BLOCK].copy_to_host())
        margin = _distance(values[:BLOCK], 0.0, len(H), norm)
        factored = factor_above(H, float(values[0]) - margin)
        self._inverse = None  # stays so where LAPACK's own error exceeds the margin
        if factored is not None:
            self._precondition_by(factored[0], margin)
        return values, rows

    def update(self, H: Any, norms: np.ndarray, changes: np.ndarray) -> Eigenvalues:
        """Of each of H (members, n, n), with their Frobenius norms and those of the changes before each."""
        members, n, _ = H.shape
        if n <= SMALL:
            here = zip(H.copy_to_host(), map(float, norms), strict=True)
            return _gathered([lowest_with_proof(matrix, norm) for matrix, norm in here])
        if self._block is None:
            self.start(H[0], float(norms[0]))
        assert self._block is not None
        rounding = allowance(n, norms)
        space = Subspace(H, inverse=self._inverse)
        ritz = space.refine(
            self._block, lambda values: np.maximum(self.rtol * np.abs(values[:, 0]), rounding), _LOOKS
        )
        values, residuals = space.certified()
        found = Eigenvalues(
            values[:, 0], residuals[:, 0] + rounding, np.full(members, -np.inf), lambda b: space.V[b, 0]
        )
        self._block = space.block(members - 1)
        self._usual = ritz.looks if self._usual is None else self._usual
        self._age += members
        due = self._age >= _AGE or ritz.looks > self._usual + 1
        for b in range(members):
            jumped = self._begun and self._jumped(float(changes[b]))
            if jumped or not self._begun or not ritz.converged[b] or (due and b == members - 1):
                self._prove(H[b], float(norms[b]), found, ritz, b)
            self._begun = True
        return found

    def _jumped(self, change: float) -> bool:
        """Whether H has changed by much more than it uses to, and than the last proof allows for (Weyl)."""
        jumped = change > 4.0 * max(self._largest_change, self._margin)
        self._largest_change = change if jumped else max(self._largest_change, change)
        return jumped

    def _prove(self, H: Any, norm: float, found: Eigenvalues, ritz: Ritz, b: int) -> None:
        """Prove a lower bound; where that fails, take what LAPACK's counterpart finds.

        The last matrix of a batch becomes the one that preconditions the next.
        """
        last = b == len(found) - 1
        if ritz.converged[b]:
            margin = _distance(ritz.values[b], float(ritz.residuals[b]), len(H), norm)
            factored = factor_above(H, float(ritz.values[b, 0]) - margin)
            if factored is not None:
                if last:
                    self._precondition_by(factored[0], margin)
                found.outer_bounds[b] = factored[1]
                return
        rows = (self.start(H, norm) if last else eigenvectors(H))[1]
        found.replace(b, lowest_there(H, norm, rows))

    def _precondition_by(self, factor: Any, margin: float) -> None:
        self._inverse = inverse_from(factor)
        self._margin, self._usual, self._age = margin, None, 0


def _distance(values: np.ndarray, residual: float, n: int, norm: float) -> float:
    """How far below the lowest value the shift goes: a fraction of the spread of the block."""
    return max(0.3 * float(values[-1] - values[0]) + residual, 10.0 * allowance(n, norm))


class SpectralNorms:
    """Norms ``|H - R|_2`` of matrices that change slowly, batch by batch; see `SpectralNorm`."""

    def __init__(self, rtol: float = 1e-3, seed: int = 0) -> None:
        self.rtol = rtol
        self._rng = np.random.default_rng(seed)
        self._block: np.ndarray | None = None

    def update(self, H: Any, norms: np.ndarray, R: Any, norm: float) -> Eigenvalues:
        """Of each of H (members, n, n) and R (n, n), with their Frobenius norms."""
        members, n, _ = H.shape
        rounding = allowance(n, norms + norm)
        if n <= SMALL:
            other, here = R.copy_to_host(), zip(H.copy_to_host(), map(float, rounding), strict=True)
            return _gathered([_norm_of(matrix, other, allowed) for matrix, allowed in here])
        fresh = self._rng.standard_normal((BLOCK if self._block is None else _FRESH, n))
        block = fresh if self._block is None else np.concatenate([self._block[:-_FRESH], fresh])
        space = Subspace(H, R, ends=2)
        space.refine(  # one round at least: vectors kept may be eigenvectors of a smaller eigenvalue still
            block, lambda values: np.maximum(self.rtol * np.abs(values).max(axis=1), rounding), _NORM_LOOKS, 1
        )
        values, residuals = space.certified()
        self._block = space.block(members - 1)
        every, ends = np.arange(members), np.abs(values).argmax(axis=1)
        return Eigenvalues(
            np.abs(values[every, ends]), residuals[every, ends] + rounding, np.full(members, np.inf),
            lambda b: space.V[b, int(ends[b])],
        )  # fmt: skip


def _norm_of(A: np.ndarray, B: np.ndarray, rounding: float) -> Eigenvalue:
    """As LAPACK has it, on the host."""
    values, vectors = np.linalg.eigh(A - B)
    vector = np.ascontiguousarray(vectors[:, np.argmax(np.abs(values))])
    value, residual = rayleigh(A @ vector - B @ vector, vector, rounding)
    return Eigenvalue(abs(value), residual, vector, np.inf)
