"""The dense products of a path: displacements along a few knots at every entry, reduced while they are in cache."""

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import TILE
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.start import Kept
from fastntk.kernels.cpu.path_bounds import path_bounds
from fastntk.kernels.scratch import table_scratch, thread_slots, word_rows

_NEURONS = 4096  # that share a set of tables


def bounds(
    problem: PathProblem, rows: np.ndarray, knots: np.ndarray, corners: np.ndarray, width: float,
    reach: np.ndarray, per_size: np.ndarray, inverse: np.ndarray, kept: Kept,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Margins of the kept entries, spare and Gram matrix of each neuron: see `kernels.cpu.path_bounds`."""
    (m, _), n, dtype = rows.shape, problem.n, problem.dtype
    padded = aligned_zeros((len(knots), problem.padded), dtype)
    padded[:, :n] = knots
    block, slots = min(_NEURONS, 64 * -(-m // 64)), thread_slots()
    margins, spare = np.empty(kept.samples.size, dtype), np.empty(m, dtype)
    gram = np.empty((m, len(knots) * (len(knots) + 1) // 2))
    path_bounds(
        rows, n, problem.tiles, padded, corners.astype(dtype), np.array([width], dtype), reach.astype(dtype),
        per_size.astype(dtype), inverse.astype(dtype), kept.first, kept.samples, kept.values,
        aligned_zeros((slots, word_rows(n), block), np.uint64), table_scratch(m, dtype)[0],
        aligned_zeros((slots, len(knots), block, TILE), dtype), aligned_zeros((slots, TILE), dtype),
        np.empty(m, np.int64), margins, spare, gram,
    )  # fmt: skip
    return margins, spare, gram


def grams(problem: PathProblem, rows: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """``(b_j o M_r)^T K (b_k o M_r)`` for the pairs j <= k of knots and some neurons, (neurons, pairs)."""
    nothing = Kept(np.zeros(len(rows) + 1, np.int64), np.empty(0, np.int32), np.empty(0, problem.dtype))
    level, corners = np.zeros(problem.padded), np.zeros((1, len(knots)))
    return bounds(problem, rows, knots, corners, 0.0, level, level, np.ones(len(rows)), nothing)[2]


def pair_weights(coefficients: np.ndarray) -> np.ndarray:
    """What `grams` are weighted with in the squared norm of a sum of knots, (pairs, points)."""
    count = coefficients.shape[1]
    pairs = [
        coefficients[:, j] * coefficients[:, k] * (1.0 if j == k else 2.0)
        for j in range(count) for k in range(j, count)
    ]  # fmt: skip
    return np.array(pairs).reshape(-1, len(coefficients))
