"""Blocks of the limit, on the host."""

import hashlib

import numpy as np

from fastntk.compilation.threads import kernel_threads
from fastntk.kernels.cpu.limit import BOTH, EDGES, NEAR, SUMS, Points, limit_tiles
from fastntk.kernels.scratch import thread_slots
from fastntk.matrices import rows
from fastntk.matrices.tiled import GramSource
from fastntk.matrices.tiled.blocks import Blocks
from fastntk.matrices.tiled.source import Estimate


class LimitGram(GramSource):
    """Blocks of the limit."""

    def __init__(
        self,
        points: Points,
        others: Points,
        found: rows.Lengths,
        dtype: np.dtype,
        options: tuple[int, int, float],
    ) -> None:
        self.symmetric = others is points
        self.shape, self.dtype = (len(points.rows), len(others.rows)), dtype
        self._points, self._others, self._found = points, others, found
        self._layers, self._depth, self._factor = options

    @staticmethod
    def estimate(blocks: Blocks, d: int, depth: int, dtype: np.dtype) -> Estimate:
        """For float64 points of dimension d."""
        (n, k), edge = blocks.shape, _edge(blocks.shape, EDGES[dtype.char])
        samples = n if blocks.symmetric else n + k
        copy = 0 if dtype == np.float64 else samples * d * dtype.itemsize
        held = copy + 5 * 8 * samples + thread_slots() * (edge * edge + edge) * dtype.itemsize
        return Estimate(
            multiply_adds=blocks.computed * d,
            kernel_values=blocks.computed * depth,
            passes=len(blocks),
            filling_bytes=held,
            lasting_bytes=held,
        )

    def fill(self, rows: slice, columns: slice, out: np.ndarray) -> None:
        """Compute one block; equal ranges of a symmetric matrix by halves."""
        down, across = range(self.shape[0])[rows], range(self.shape[1])[columns]
        if not (down and across):
            return
        symmetric = self.symmetric and down == across
        left = Points(*(part[rows] for part in self._points))
        right = left if symmetric else Points(*(part[columns] for part in self._others))
        edge = _edge(self.shape, EDGES[self.dtype.char])
        tasks = _tasks(len(down), len(across), symmetric, edge)
        near = self.dtype.type(NEAR[self.dtype.char])
        with kernel_threads():
            slots = thread_slots()
            scratch, t = np.empty((slots, edge * edge), self.dtype), np.empty((slots, edge), self.dtype)
            sums = np.empty((slots, SUMS))
            limit_tiles(left, right, symmetric, self._layers, self._depth, near, tasks, scratch, t, sums, out)

    def diagonal(self) -> np.ndarray:
        """``c^L |x|^2``, times L + 1 for both layers."""
        return self._points.square * self.dtype.type(self._depth + 1 if self._layers == BOTH else 1)

    def fingerprint(self) -> str:
        """Digest of points, options and precision."""
        digest = hashlib.sha256(
            repr(
                (self.shape, self.symmetric, self.dtype.str, self._layers, self._depth, self._factor)
            ).encode()
        )
        for points in (self._points,) if self.symmetric else (self._points, self._others):
            digest.update(points.exact.dtype.str.encode())
            digest.update(points.exact)
        return digest.hexdigest()

    def warn_if_singular(self) -> None:
        """Warn, on behalf of the caller's caller, of rows that make lambda_min zero."""
        if self.symmetric:
            rows.warn_parallel_rows(
                self._points.exact, "X", self._found, opposite=self._depth == 1, stacklevel=4
            )


def _edge(shape: tuple[int, int], edges: tuple[int, ...]) -> int:
    """The smallest edge that leaves at most 64 tiles: it follows from the whole matrix, not from blocks or threads."""
    return next((edge for edge in edges if shape[0] * shape[1] <= 64 * edge * edge), edges[-1])


def _tasks(n: int, k: int, symmetric: bool, edge: int) -> np.ndarray:
    """Tiles as rows of top, left, height, width."""
    small = -(-edge // max(1, edge // 128))  # on the diagonal half of a tile is wasted: take smaller ones
    tasks = []
    for top in range(0, n, edge):
        height = min(edge, n - top)
        for left in range(0, top if symmetric else k, edge):
            tasks.append((top, left, height, min(edge, k - left)))
        for a in range(top, top + height, small) if symmetric else ():
            for b in range(top, a + 1, small):
                tasks.append((a, b, min(small, top + height - a), min(small, top + height - b)))
    return np.array(tasks)
