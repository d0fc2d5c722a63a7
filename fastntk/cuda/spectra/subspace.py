"""`fastntk.spectra.subspace` for a batch of matrices on a GPU, all of them in step.

A look at the projected matrices costs a few transfers of some kilobytes and, for each member, a small eigenvalue
problem on the host (0.07 ms at 32 rows); a product costs next to nothing (`fastntk.kernels.cuda.subspace`).  So between
two looks the subspace grows by all that fits, 24 vectors: the preconditioned residuals of the vectors kept in the first
round, and from then on the Krylov vectors ``T (H - value I) v`` of the wanted pairs, T the preconditioner.  That takes
more products than one look for each vector would, and a twentieth of the looks.  Counted on runs at n = 1000, T from
the H of up to 63 steps before: two looks after the first for m = 8000, four for m = 500; norms without T two to four.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastntk.device.arrays import empty, upload
from fastntk.kernels.cuda.plans import Products
from fastntk.kernels.cuda.subspace import (
    BLOCK,
    compress,
    orthonormalise,
    products,
    projected,
    quotients,
    residuals,
)

GROWTH = 24  # rows added between two looks


@dataclass
class Ritz:
    """The best approximations in a subspace for each member; the wanted pairs come first."""

    values: np.ndarray  # (members, p)
    residuals: np.ndarray  # (members,): of the wanted pairs, the largest
    converged: np.ndarray  # (members,)
    looks: int


class Subspace:
    """Bases for as many members as ``H`` (members, n, n) has, of ``H - R`` if R (n, n) is given.

    The wanted pairs are the lowest and, with ``ends`` = 2, the highest.
    """

    def __init__(self, H: Any, R: Any = None, ends: int = 1, inverse: Any = None) -> None:
        self._H, self._R, self._ends, self._inverse = H, R, ends, inverse
        members, n, _ = H.shape
        self._members, self._n = members, n
        shape = members, BLOCK + GROWTH, n
        self.V, self._images = empty(shape, np.float64), empty(shape, np.float64)
        self._Z, self._mapped = (empty(members * BLOCK * n, np.float64) for _ in range(2))
        self._norms, self._G = (
            empty((members, BLOCK), np.float64),
            empty((members, shape[1], shape[1]), np.float64),
        )
        self._kept = upload(np.zeros((members, shape[1]), dtype=np.int32))
        self._products = Products()

    @staticmethod
    def bytes_needed(n: int) -> int:
        """Device memory of a member."""
        return 8 * (2 * n * (2 * BLOCK + GROWTH) + (BLOCK + GROWTH) ** 2)

    def refine(
        self, block: np.ndarray, tolerance: Callable[[np.ndarray], np.ndarray], limit: int, least: int = 0
    ) -> Ritz:
        """Improve the rows of `block` (p, n), p at most 8, until the wanted pairs of all members are accurate.

        `tolerance` maps the wanted values (members, ends) to the residual norms asked for (members,); at least
        `least` and at most `limit` looks after the first.
        """
        p, wanted = len(block), slice(0, self._ends)
        start = self._rows(self._Z, p)
        start.copy_to_device(np.broadcast_to(block, tuple(start.shape)).copy())
        orthonormalise(start, p, self.V, 0, self._kept)
        self._multiply(0, p)
        alive = self._kept.copy_to_host()[:, :p] != 0
        values = np.zeros((self._members, p))
        converged = np.zeros(self._members, dtype=bool)
        size, looks = p, 0
        while True:
            kept = np.concatenate([alive, self._kept.copy_to_host()[:, p:size] != 0], axis=1)
            values, alive = self._compress(values, kept, alive, converged)
            there = upload(values)
            Z = self._rows(self._Z, p)
            residuals(there, self.V, self._images, 0, p, Z, self._norms)
            sizes = self._norms.copy_to_host()[:, wanted].max(axis=1)
            converged = (sizes <= tolerance(values[:, wanted])) & (looks >= least)
            if converged.all() or looks == limit:
                return Ritz(values, sizes, converged, looks)
            count = p if looks == 0 else self._ends
            if count < p:
                Z = self._rows(self._Z, count)
                residuals(there, self.V, self._images, 0, count, Z, self._norms)
            size = p
            while size + count <= p + GROWTH:
                orthonormalise(self._precondition(Z), count, self.V, size, self._kept)
                self._multiply(size, count)
                first, size, count = size, size + count, self._ends
                Z = self._rows(self._Z, count)
                residuals(there, self.V, self._images, first, count, Z, self._norms)
            looks += 1

    def certified(self) -> tuple[np.ndarray, np.ndarray]:
        """Rayleigh quotients and residual norms (members, ends) of the wanted vectors, from new products."""
        self._multiply(0, self._ends)
        values, norms = (empty((self._members, self._ends), np.float64) for _ in range(2))
        quotients(self.V, self._images, self._ends, values, norms)
        return values.copy_to_host(), norms.copy_to_host()

    def block(self, member: int) -> np.ndarray:
        """The vectors kept of a member, on the host."""
        return np.asarray(self.V[member, :BLOCK].copy_to_host())

    def _rows(self, flat: Any, count: int) -> Any:
        """So many vectors of each member, contiguous."""
        return flat[: self._members * count * self._n].reshape(self._members, count, self._n)

    def _multiply(self, first: int, count: int) -> None:
        R = self._H[0] if self._R is None else self._R
        products(self._H, R, self._R is not None, self.V, first, count, self._images)

    def _precondition(self, Z: Any) -> Any:
        if self._inverse is None:
            return Z
        members, count, n = Z.shape
        mapped = self._rows(self._mapped, count)
        self._products.nt(Z.reshape(members * count, n), self._inverse, mapped.reshape(members * count, n))
        return mapped

    def _compress(
        self, values: np.ndarray, kept: np.ndarray, alive: np.ndarray, done: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Project, and keep the best vectors of the members that are not done; their values, and which are vectors."""
        (members, size), p = kept.shape, values.shape[1]
        projected(self.V, self._images, size, self._G)
        G = self._G.copy_to_host()[:, :size, :size]
        values, alive = values.copy(), alive.copy()
        coefficients = np.zeros((members, p, size))
        coefficients[done, :, :p] = np.eye(p)
        whole = kept.all(axis=1) & ~done
        for chosen in [np.flatnonzero(whole), *np.flatnonzero(~(whole | done))[:, np.newaxis]]:
            if len(chosen):
                inside = np.flatnonzero(kept[chosen[0]])
                part = G[np.ix_(chosen, inside, inside)]
                found, vectors = np.linalg.eigh((part + part.transpose(0, 2, 1)) / 2.0)
                order = _order(len(inside), p, self._ends)
                rows = np.arange(len(order))
                values[chosen[:, np.newaxis], rows] = found[:, order]
                coefficients[np.ix_(chosen, rows, inside)] = vectors[:, :, order].transpose(0, 2, 1)
                alive[chosen] = np.arange(p) < len(order)
        there = upload(coefficients)
        for rows_there in (self.V, self._images):
            compress(there, size, rows_there)
        return values, alive


def _order(size: int, p: int, ends: int) -> np.ndarray:
    """Positions of the pairs kept: the lowest, or by turns the lowest and the highest."""
    if ends == 1:
        return np.arange(min(size, p))
    return np.array(
        [k // 2 if k % 2 == 0 else size - 1 - k // 2 for k in range(min(size, p))], dtype=np.int64
    )
