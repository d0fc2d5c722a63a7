"""Ritz pairs of a symmetric map in a subspace that grows.

A block of p orthonormal vectors is enlarged by preconditioned residuals (generalised Davidson method: Davidson,
J. Comput. Phys. 17, 1975; Morgan & Scott, SIAM J. Sci. Stat. Comput. 7, 1986) until the residual of the wanted Ritz
pair is small.  Vectors are stored as *rows*: a row is contiguous, and since the matrix is symmetric ``rows @ H`` is the
product wanted, in the layout BLAS does fastest.

The first enlargement uses the residuals of the whole block, which keeps all p vectors close to their eigenvectors from
call to call; the later ones use one residual alone, because one matrix-vector product costs a fraction of a product
with several columns and the number of rounds hardly grows (measured on Gram matrices of training runs at n = 1000:
10 rounds of one vector against 9 of two, at half the time).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rows = np.ndarray
Map = Callable[[Rows], Rows]

_GROWTH = 32  # rows added before the subspace is compressed to the block again


@dataclass
class Ritz:
    """The best approximations in a subspace: `values[0]` with row `rows[0]` is the wanted pair."""

    values: np.ndarray
    rows: Rows
    residual: float  # |H v - value v| of the first pair, as found inside the iteration
    rounds: int  # enlargements made
    converged: bool


def orthonormal(rows: Rows) -> Rows:
    """An orthonormal basis, as rows, of the span of `rows`."""
    return np.ascontiguousarray(np.linalg.qr(rows.T)[0].T)


class Subspace:
    """Orthonormal rows, their images, and the map projected onto their span."""

    def __init__(self, block: Rows, images: Rows, capacity: int) -> None:
        self._rows, self._images = (np.empty((capacity, block.shape[1])) for _ in range(2))
        self._projected = np.empty((capacity, capacity))
        self.size = 0
        self._append(block, images)

    @property
    def full(self) -> bool:
        """Whether no row fits in any more."""
        return self.size == len(self._rows)

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """All Ritz values, ascending, and the coefficients of their vectors as rows."""
        values, vectors = np.linalg.eigh(self._projected[: self.size, : self.size])
        return values, np.ascontiguousarray(vectors.T)

    def rows(self, coefficients: np.ndarray) -> Rows:
        """Vectors by their coefficients."""
        return coefficients @ self._rows[: self.size]

    def residuals(self, values: np.ndarray, coefficients: np.ndarray) -> Rows:
        """``H v - value v`` of Ritz pairs."""
        return coefficients @ self._images[: self.size] - values[:, None] * self.rows(coefficients)

    def compress(self, coefficients: np.ndarray) -> None:
        """Keep the span of these vectors only."""
        block, images = self.rows(coefficients), coefficients @ self._images[: self.size]
        self.size = 0
        self._append(block, images)

    def grow(self, candidates: Rows, product: Map) -> bool:
        """Add what is new in the candidates; False if nothing is, to working accuracy."""
        first = size = self.size
        for row in candidates:
            if size == len(self._rows):
                break
            known, length = self._rows[:size], np.sqrt(row @ row)
            if not length > 0.0:
                continue
            row = row / length
            row -= (known @ row) @ known
            length = np.sqrt(row @ row)
            if length < 1e-12:  # nothing but rounding is left
                continue
            row /= length
            row -= (known @ row) @ known
            self._rows[size] = row / np.sqrt(row @ row)
            size += 1
        if size == first:
            return False
        new = self._rows[first:size]
        self._append(new, product(new))
        return True

    def _append(self, rows: Rows, images: Rows) -> None:
        first, self.size = self.size, self.size + len(rows)
        self._rows[first : self.size], self._images[first : self.size] = rows, images
        corner = self._rows[: self.size] @ images.T
        corner[first:] = (corner[first:] + corner[first:].T) / 2.0
        self._projected[: self.size, first : self.size] = corner
        self._projected[first : self.size, : self.size] = corner.T


def refine(
    product: Map,
    block: Rows,
    images: Rows,
    tolerance: Callable[[float], float],
    limit: int,
    precondition: Map | None = None,
) -> Ritz:
    """Improve `block` (p, n), orthonormal rows with ``images = product(block)``, until its lowest pair is accurate.

    `tolerance` maps the current value to the residual norm asked for; at most `limit` enlargements are made.
    Work per round: one product, one preconditioning, O(n k) for a subspace of k <= p + 32 rows.
    """
    p, n = block.shape
    space = Subspace(block, images, min(n, p + max(_GROWTH, p)))
    rounds = 0
    while True:
        values, vectors = (found[:p] for found in space.ritz())
        active = slice(0, p if rounds == 0 else 1)
        residuals = space.residuals(values[active], vectors[active])
        residual = float(np.linalg.norm(residuals[0]))
        converged = residual <= tolerance(float(values[0]))
        if converged or rounds == limit:
            break
        if space.full and space.size < n:
            space.compress(vectors)
            vectors = np.eye(p)
        directions = residuals if precondition is None else precondition(residuals)
        if not space.grow(directions, product):
            break
        rounds += 1
    return Ritz(values, space.rows(vectors), residual, rounds, converged)


def furthest(
    product: Map, block: Rows, images: Rows, tolerance: Callable[[float], float], limit: int
) -> tuple[np.ndarray, Rows]:
    """Improve `block` (2 p, n), as `refine`, until the pair of the largest absolute value is accurate.

    Returns the p lowest and the p highest Ritz values, and their vectors.  A search by size that has settled on one
    end of the spectrum would not look at the other, so that is refined too while it may reach as far.
    """
    p, n = len(block) // 2, block.shape[1]
    space = Subspace(block, images, min(n, 2 * p + max(_GROWTH, 2 * p)))
    for rounds in range(limit + 1):
        values, vectors = space.ritz()
        values, vectors = (np.concatenate((found[:p], found[-p:])) for found in (values, vectors))
        active = slice(None) if rounds == 0 else slice(None, None, 2 * p - 1)  # all of them, or both ends
        residuals = space.residuals(values[active], vectors[active])
        sizes, lengths = (
            np.abs(values[:: 2 * p - 1]),
            np.linalg.norm(residuals[:: len(residuals) - 1], axis=1),
        )
        largest = float(sizes.max())
        wanted = (lengths > tolerance(largest)) & (sizes + lengths >= largest)
        if not wanted.any() or rounds == limit:
            break
        if space.full and space.size < n:
            space.compress(vectors)
            vectors = np.eye(2 * p)
        if not space.grow(residuals if rounds == 0 else residuals[wanted], product):
            break
    return values, space.rows(vectors)
