"""What the theory asks of the data, and whether the data at hand meet it."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.base.errors import SingularGramWarning
from fastntk.matrices.limit import limit_gram
from fastntk.matrices.rows import parallel_rows
from fastntk.spectra import Eigenvalue, lambda_max, lambda_min
from fastntk.theory.verification.statement import Condition

__all__ = ["Facts", "largest_of_both", "parallel_rows_expected", "smallest_of_limit"]

_UNIT = 1e-6  # rows read from a file of seven digits still count as unit rows
# c of Lemma 3.2, from 4 n^2 R / (sqrt(2 pi) delta) <= lambda_0 / 4.
_KNOWN_CONSTANT = math.sqrt(2.0 * math.pi) / 16.0


@dataclass(frozen=True)
class Facts:
    """Samples, labels, the limit kernel and what follows from them; ``lambda_0`` is 0 unless proven positive."""

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    H: NDArray[np.float64]
    smallest: Eigenvalue
    lambda_max: float
    lengths: tuple[float, float]
    same: list[tuple[int, int]]
    opposite: list[tuple[int, int]]
    delta: float

    @classmethod
    def of(cls, X: NDArray[np.float64], y: NDArray[np.float64], delta: float) -> Facts:
        """Measure checked data."""
        H, smallest = smallest_of_limit(X)
        lengths = np.linalg.norm(X, axis=1)
        first, second, same = parallel_rows(X)
        pairs = list(zip(first.tolist(), second.tolist(), strict=True))
        return cls(
            X, y, H, smallest, float(lambda_max(H)), (float(lengths.min()), float(lengths.max())),
            [pair for pair, positive in zip(pairs, same, strict=True) if positive],
            [pair for pair, positive in zip(pairs, same, strict=True) if not positive],
            delta,
        )  # fmt: skip

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.X)

    @property
    def positive(self) -> bool:
        """Whether a Cholesky factorisation proved that the limit kernel, as it was computed, is positive definite.

        Its entries err by about 1e-14 of the diagonal, which is measured, not proven (`fastntk.limit_gram`).
        """
        return self.smallest.lower_bound > 0.0

    @property
    def lambda_0(self) -> float:
        """Smallest eigenvalue of the limit kernel; 0 if it is not proven to be positive."""
        return float(self.smallest) if self.positive else 0.0

    @property
    def unit_rows(self) -> bool:
        """Whether all samples have length 1."""
        return abs(self.lengths[0] - 1.0) <= _UNIT and abs(self.lengths[1] - 1.0) <= _UNIT

    @property
    def theory_radius(self) -> float:
        """``R = c delta lambda_0 / n^2`` of Lemma 3.2 with the constant its proof gives, ``c = sqrt(2 pi) / 16``."""
        return _KNOWN_CONSTANT * self.delta * self.lambda_0 / self.n**2

    def travel(self, width: int, error: float) -> float:
        """``R' = sqrt(n) |y - u(0)| / (sqrt(m) lambda_0)`` of Lemma 3.3."""
        return math.sqrt(self.n / width) * error / self.lambda_0 if self.positive else math.inf

    def width_of_convergence(self) -> float:
        """``n^6 / (lambda_0^4 delta^3)`` of Theorems 3.2, 3.3 and 4.1, whose constant is not given."""
        return self.n**6 / (self.lambda_0**4 * self.delta**3) if self.positive else math.inf

    def width_of_concentration(self) -> float:
        """``n^2 / lambda_0^2 log(n / delta)`` of Lemma 3.1, whose constant is not given."""
        return self.n**2 / self.lambda_0**2 * math.log(self.n / self.delta) if self.positive else math.inf

    def unit(self) -> Condition:
        """The condition on the lengths of the samples."""
        least, most = self.lengths
        return Condition("|x_i| = 1 for all i", self.unit_rows, f"lengths from {least:.6g} to {most:.6g}")

    def assumption(self) -> Condition:
        """Assumption 3.1."""
        text = "Assumption 3.1: lambda_0 > 0"
        if self.positive:
            least = self.smallest.lower_bound
            proven = f"lambda_0 = {self.lambda_0:.6g}, for H_inf as computed proven above {least:.6g}"
            return Condition(text, True, proven)
        detail = f"lambda_min(H_inf) = {float(self.smallest):.2g}, zero up to rounding"
        if self.same:
            detail += "; parallel rows " + ", ".join(f"{i} and {j}" for i, j in self.same[:3])
        if self.lengths[0] == 0.0:
            detail += "; a row is zero"
        return Condition(text, False, detail)

    def bounded(self) -> Condition:
        """The condition on the labels: any finite set of them has a bound."""
        return Condition("|y_i| <= C", True, f"C = {float(np.abs(self.y).max()):.4g} on these data")

    def record(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        return {
            "n": self.n, "d": self.X.shape[1], "lambda_0": float(self.smallest),
            "lambda_0_lower_bound": self.smallest.lower_bound, "lambda_0_positive": self.positive,
            "lambda_max": self.lambda_max, "unit_rows": self.unit_rows, "row_lengths": list(self.lengths),
            "parallel_pairs": self.same, "opposite_pairs": self.opposite,
            "largest_label": float(np.abs(self.y).max()), "delta": self.delta,
        }  # fmt: skip


def largest_of_both(X: NDArray[np.float64]) -> float:
    """Largest eigenvalue of the limit kernel of both layers."""
    with parallel_rows_expected():
        return float(lambda_max(limit_gram(X, layers="both")))


@contextlib.contextmanager
def parallel_rows_expected() -> Iterator[None]:
    """No warning about parallel rows: here they are a finding."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularGramWarning)
        yield


def smallest_of_limit(X: NDArray[np.float64]) -> tuple[NDArray[np.float64], Eigenvalue]:
    """The limit kernel and its smallest eigenvalue."""
    with parallel_rows_expected():
        H = limit_gram(X)
    return H, lambda_min(H)
