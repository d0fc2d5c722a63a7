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
from typing import NamedTuple

import numpy as np

from fastntk.base.memory import aligned_zeros

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


class Space(NamedTuple):
    """Memory of a search by the kernels of `fastntk.kernels.cpu.ritz`; the first rows are what it found."""

    rows: Rows
    images: Rows
    projected: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray, count: int) -> "Space":
        """For a search from `count` vectors in a matrix, whose rows may end in zeros."""
        n, columns = matrix.shape
        capacity = min(n, count + _GROWTH)
        rows, images = (aligned_zeros((capacity, columns), matrix.dtype) for _ in range(2))
        return cls(rows, images, np.zeros((capacity, capacity)))


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
