"""What a path is asked for: the samples and everything that follows from them, the neurons, the steps."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import TILE, tiles_of
from fastntk.engines.path.schedule import Schedule
from fastntk.kernels.scratch import column_tiles, padded_rows
from fastntk.losses import Loss
from fastntk.matrices.inner_products import products
from fastntk.optimizers import Optimizer

COLUMNS = 64  # columns of matrices of samples are a multiple, as the recursion takes four vectors at a time

Rows = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class PathProblem:
    """Descent or gradient flow of the first layer on all samples; optimizer, lr and steps are those of descent.

    Attributes
    ----------
    X : ndarray of float64, shape (n, d)
    labels : ndarray of float64, shape (n,)
    objective : Loss
    optimizer : Optimizer
    lr : float
    steps : int
    a : ndarray, shape (m,)
    weights : callable
        ``weights(first, last)`` gives these rows of W at the start, of the precision of ``a``.
    whole : int
        Neurons of the network of which these are a part; 0 if they are all.
    """

    X: np.ndarray
    labels: np.ndarray
    objective: Loss
    optimizer: Optimizer
    lr: float
    steps: int
    a: np.ndarray
    weights: Rows
    whole: int = 0

    @property
    def n(self) -> int:
        """Samples."""
        return len(self.X)

    @property
    def m(self) -> int:
        """Neurons."""
        return self.a.size

    @property
    def width(self) -> int:
        """Neurons of the whole network."""
        return self.whole or self.m

    @property
    def dtype(self) -> np.dtype:
        """Precision of pre-activations and displacements."""
        return self.a.dtype

    @cached_property
    def scale(self) -> float:
        """The square of all weights of the second layer, or 0 if they differ."""
        squares = np.square(self.a, dtype=np.float64)
        return float(squares[0]) if (squares == squares[0]).all() else 0.0

    @cached_property
    def counting(self) -> np.dtype:
        """Precision in which sums of ``a_r^2`` over common activations are exact, if they are counts."""
        exact = self.dtype == np.float32 and self.scale == 1.0 and self.m < 2**24
        return np.dtype(np.float32 if exact else np.float64)

    def squares(self, kind: np.dtype | type) -> np.ndarray:
        """``a_r^2``; one number if all are alike."""
        found = np.square(self.a, dtype=np.float64)
        return (found[:1] if self.scale else found).astype(kind)

    @cached_property
    def unit(self) -> np.ndarray:
        """``a_r / sqrt(m)``."""
        return (self.a / np.sqrt(self.width)).astype(self.dtype)

    @cached_property
    def K(self) -> np.ndarray:
        """``X X^T`` in float64."""
        return products(self.X)

    def inner(self, dtype: np.dtype) -> np.ndarray:
        """``X X^T`` with padded columns."""
        if dtype not in self._inner:
            padded = aligned_zeros((self.n, COLUMNS * -(-self.n // COLUMNS)), dtype)
            padded[:, : self.n] = self.K
            self._inner[dtype] = padded
        return self._inner[dtype]

    @cached_property
    def _inner(self) -> dict[np.dtype, np.ndarray]:
        return {}

    @cached_property
    def tiles(self) -> np.ndarray:
        """``X X^T`` in column tiles."""
        return column_tiles(self.K, self.dtype)

    @cached_property
    def points(self) -> np.ndarray:
        """X in whole tiles."""
        return padded_rows(self.X, self.dtype)

    @property
    def padded(self) -> int:
        """Samples in whole tiles."""
        return TILE * tiles_of(self.n)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Norms of the rows of ``X X^T``: what a change of the coefficients of norm 1 does to a sample, at most."""
        return np.linalg.norm(self.K, axis=1) * (1.0 + 1e-12 * self.n)

    @cached_property
    def stretch(self) -> float:
        """At least the root of the largest eigenvalue of ``X X^T``, from the Frobenius norm of its fourth power."""
        K = (
            self.K.astype(np.float32)
            if np.abs(self.K).max() < 1e4 and np.abs(self.K).max() > 1e-4
            else self.K
        )
        unit = self.n * np.finfo(K.dtype).eps
        square = K @ K
        size = np.linalg.norm(square.astype(np.float64))
        fourth = np.linalg.norm((square @ square).astype(np.float64)) + unit * size**2
        largest = np.sqrt(fourth) + 2.0 * unit * np.linalg.norm(self.K) ** 2
        return float(np.sqrt(np.sqrt(largest) * 1.0001))

    def part(self, count: int) -> "PathProblem":
        """The network of the first neurons alone, on the same samples."""
        return self.sharing(self.a[:count], self.weights)

    def sharing(self, a: np.ndarray, weights: Rows, whole: int = 0) -> "PathProblem":
        """Other neurons on the same samples."""
        some = replace(self, a=a, weights=weights, whole=whole)
        shared = ("K", "points", "sizes", "tiles", "stretch", "_inner")
        some.__dict__.update({name: getattr(self, name) for name in shared})
        return some

    def schedule(self, steps: int) -> Schedule:
        """So many steps of descent."""
        return Schedule.of_descent(self.optimizer, self.lr, steps)
