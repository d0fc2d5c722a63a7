"""Few directions that span a path: a path of residuals is smooth in time, so its rank is small."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Basis:
    """``E = coefficients @ vectors``, orthonormal rows, up to ``error`` (steps + 1,), the norms of the rest."""

    vectors: np.ndarray
    coefficients: np.ndarray
    error: np.ndarray

    def leading(self, count: int) -> "Basis":
        """The first directions alone."""
        rest = np.linalg.norm(self.coefficients[:, count:], axis=1)
        return Basis(self.vectors[:count], self.coefficients[:, :count], np.hypot(self.error, rest))


def basis(E: np.ndarray, tolerance: float, most: int | None = None) -> Basis:
    """At most so many directions, for the rows of E to ``tolerance`` times the longest, the weightiest first.

    Gram-Schmidt with the longest remainder as the next direction, then a turn to the principal axes.
    """
    rest, vectors = E.copy(), np.empty((0, E.shape[1]))
    longest = np.linalg.norm(E, axis=1).max()
    while len(vectors) < min(*E.shape, most or len(E)):
        norms = np.linalg.norm(rest, axis=1)
        row = int(norms.argmax())
        if not norms[row] > tolerance * longest:
            break
        direction = rest[row] / norms[row]
        direction -= vectors.T @ (vectors @ direction)
        direction /= np.linalg.norm(direction)
        rest -= np.outer(rest @ direction, direction)
        vectors = np.vstack((vectors, direction))
    if len(vectors):
        _, _, axes = np.linalg.svd(E @ vectors.T, full_matrices=False)
        vectors = axes @ vectors
    coefficients = E @ vectors.T
    return Basis(vectors, coefficients, np.linalg.norm(E - coefficients @ vectors, axis=1))
