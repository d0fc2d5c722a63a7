"""What parts of a network add to a whole: sums in a fixed order, whoever makes them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Share", "groups_of", "summed"]


@dataclass(frozen=True)
class Share:
    """Numbers and arrays by name: ``added`` are summed, of ``most`` the largest counts."""

    added: dict[str, Any]
    most: dict[str, Any]

    def __add__(self, other: Share) -> Share:
        """Of both."""
        return Share(
            {name: value + other.added[name] for name, value in self.added.items() if name in other.added},
            {name: np.maximum(value, other.most[name]) for name, value in self.most.items() if name in other.most},
        )  # fmt: skip

    def packed(self, scale: float) -> Share:
        """The same with counts as half a matrix of 32 bits, where the sums are counts times a number."""
        sums = self.added["sums"]
        if not scale:
            return self
        half = np.rint(sums[np.tril_indices(len(sums))] / scale).astype(np.uint32)
        return Share({**self.added, "sums": half}, self.most)


def unpacked(sums: np.ndarray, n: int, scale: float) -> np.ndarray:
    """The matrix of sums, (n, n) float64."""
    if sums.ndim == 2:
        return sums
    whole = np.empty((n, n))
    rows, columns = np.tril_indices(n)
    whole[rows, columns] = whole[columns, rows] = sums * scale
    return whole


def summed(shares: Iterable[Share]) -> Share:
    """The sum by a tree over places: pairs at places 2 k, pairs of pairs at places 4 k; few are held at once.

    Examples
    --------
    >>> parts = [Share({"u": np.float32(x)}, {}) for x in (1.0, 1e-8, -1.0, 1e-8, 3.0)]
    >>> groups = [summed(parts[:2]), summed(parts[2:4]), summed(parts[4:])]
    >>> summed(parts) == summed(groups)
    True
    """
    waiting: list[tuple[int, Share]] = []  # sums of powers of two of shares, the larger ones first
    for share in shares:
        size, one = 1, share
        while waiting and waiting[-1][0] == size:
            size, one = 2 * size, waiting.pop()[1] + one
        waiting.append((size, one))
    total = waiting.pop()[1]
    while waiting:
        total = waiting.pop()[1] + total
    return total


def groups_of(parts: int, workers: int) -> list[range]:
    """Parts in groups of one power of two, which the tree sums whole: few, and no worker far above the least load.

    Examples
    --------
    >>> groups_of(5, 2), groups_of(4, 3)
    ([range(0, 1), range(1, 2), range(2, 3), range(3, 4), range(4, 5)], [range(0, 2), range(2, 4)])
    """
    sizes = [2**k for k in range(parts.bit_length() + 1)]
    loads = {size: size * math.ceil(math.ceil(parts / size) / workers) for size in sizes}
    size = max(size for size in sizes if loads[size] <= 1.25 * min(loads.values()))
    return [range(first, min(first + size, parts)) for first in range(0, parts, size)]
