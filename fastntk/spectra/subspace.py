"""Ritz pairs of a symmetric map in a subspace that grows.

A block of orthonormal vectors is enlarged by the residual of the wanted Ritz pair, preconditioned where an inverse is
known (generalised Davidson method: Davidson, J. Comput. Phys. 17, 1975; Morgan & Scott, SIAM J. Sci. Stat. Comput. 7,
1986), until that residual is small.  Vectors are stored as *rows*: a row is contiguous, and since the matrix is
symmetric ``rows @ H`` is the product wanted, in the layout BLAS does fastest.

One residual at a time: at n = 1000 a product with one vector takes a quarter of the time of one with eight, and
refining all vectors of the block saves no round (Gram matrices of training runs: 9.7 rounds with or without).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rows = np.ndarray
Map = Callable[[Rows], Rows]

_GROWTH = 32  # rows added before the subspace is compressed to the block again
_FIRST, _NEXT = 4, 2  # products between two looks at the spectrum of a difference


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

    def grow(self, row: np.ndarray, product: Map) -> np.ndarray | None:
        """Add what is new in a vector, and return the image of that; None if nothing is, to working accuracy."""
        known, length = self._rows[: self.size], float(np.sqrt(row @ row))
        if self.full or not length > 0.0:
            return None
        row = row / length
        row -= (known @ row) @ known
        length = float(np.sqrt(row @ row))
        if length < 1e-12:  # nothing but rounding is left
            return None
        row /= length
        row -= (known @ row) @ known
        row /= np.sqrt(row @ row)
        image = product(row)
        self._append(row[None], image[None])
        return image

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
    """Improve `block` (p, n), orthonormal rows with their images, until its lowest pair is accurate.

    `product` and `precondition` map one vector; `tolerance` maps the current value to the residual norm asked for; at
    most `limit` enlargements are made.  Work per round: one product, one preconditioning, O(n k) for a subspace of
    k <= p + 32 rows.
    """
    p, n = block.shape
    space = Subspace(block, images, min(n, p + max(_GROWTH, p)))
    rounds = 0
    while True:
        values, vectors = (found[:p] for found in space.ritz())
        residual = space.residuals(values[:1], vectors[:1])[0]
        length = float(np.linalg.norm(residual))
        converged = length <= tolerance(float(values[0]))
        if converged or rounds == limit:
            break
        if space.full and space.size < n:
            space.compress(vectors)
            vectors = np.eye(p)
        if space.grow(residual if precondition is None else precondition(residual), product) is None:
            break
        rounds += 1
    return Ritz(values, space.rows(vectors), length, rounds, converged)


def furthest(
    product: Map, block: Rows, images: Rows, tolerance: Callable[[float], float], p: int, limit: int
) -> tuple[np.ndarray, Rows]:
    """Improve `block`, as `refine`, until the pair of the largest absolute value is accurate, by some `limit` products.

    Returns the p lowest and the p highest Ritz values, and their vectors.  A search by size that has settled on one
    end of the spectrum would not look at the other, so that is refined too while it may reach as far.  Each residual is
    followed by its images under the map, so that the small eigenvalue problem is not solved for every vector.
    """
    n, ends = block.shape[1], [0, -1]
    space = Subspace(block, images, min(n, len(block) + _GROWTH))
    follow = _FIRST
    while True:
        values, vectors = space.ritz()
        residuals = space.residuals(values[ends], vectors[ends])
        sizes, lengths = np.abs(values[ends]), np.linalg.norm(residuals, axis=1)
        wanted = (lengths > tolerance(float(sizes.max()))) & (sizes + lengths >= sizes.max())
        values, vectors = (np.concatenate((found[:p], found[-p:])) for found in (values, vectors))
        if not wanted.any() or limit <= 0:
            break
        if space.full and space.size < n:
            space.compress(vectors)
            vectors = np.eye(2 * p)
        direction: np.ndarray | None = residuals[wanted].sum(axis=0)
        known = space.size
        for _ in range(follow):
            assert direction is not None
            direction = space.grow(direction, product)
            if direction is None:
                break
        if space.size == known:
            break
        limit, follow = limit - follow, _NEXT
    return values, space.rows(vectors)
