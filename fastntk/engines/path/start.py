"""The one pass over all neurons: pattern, outputs, common activations, and the entries near zero."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import NEURONS_PER_WORD, PackedMasks, byte_rows
from fastntk.engines.path.problem import COLUMNS, PathProblem, Rows
from fastntk.kernels.cpu.coactivation import coactivation_counts
from fastntk.kernels.cpu.path_start import path_start
from fastntk.kernels.scratch import thread_slots
from fastntk.model.forward import block_rows
from fastntk.model.patterns import panels

_BLOCK = 2**23  # pre-activations of a block of neurons
_DEVIATIONS = 9.0  # of the displacements, within which entries are kept


@dataclass(frozen=True)
class Kept:
    """Entries near zero in neuron order: those of neuron r from ``first[r]``, samples ascending."""

    first: np.ndarray
    samples: np.ndarray
    values: np.ndarray

    def keys(self, n: int) -> np.ndarray:
        """neuron * n + sample of each, ascending."""
        return np.repeat(np.arange(self.first.size - 1), np.diff(self.first)) * n + self.samples


NO_KEYS = np.empty(0, np.int64)
NOTHING = Kept(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0))


@dataclass(frozen=True)
class Start:
    """The network at the start of a window.

    Attributes
    ----------
    u : ndarray of float64, shape (n,)
    rows : ndarray of uint8, shape (m, octets)
        The pattern, bits of the samples of each neuron.
    sums : ndarray of float64, shape (n, n)
        ``sum_r a_r^2 M_ir M_jr``.
    kept : Kept
        All entries with ``|z_ir| <= reach_i |a_r| / sqrt(m)``.
    reach : ndarray, shape (n,)
    """

    u: np.ndarray
    rows: np.ndarray
    sums: np.ndarray
    kept: Kept
    reach: np.ndarray

    def without_sums(self) -> Start:
        """Of a part, which has no use for them."""
        return replace(self, sums=self.sums[:0].copy())

    def alone(self) -> Start:
        """The pattern and the sums without what only the search for events needs."""
        return replace(self, kept=NOTHING)


def reach_for(problem: PathProblem, E: np.ndarray) -> np.ndarray:
    """How near zero entries must start to be kept: generous, and checked afterwards."""
    lengths = np.linalg.norm(E, axis=1)
    typical = 0.5 * _DEVIATIONS * lengths.max() / np.sqrt(problem.n)
    return 1.2 * min(typical, lengths.max()) * problem.sizes


def octets(n: int) -> int:
    """Bytes of the pattern of a neuron."""
    return COLUMNS // 8 * -(-n // COLUMNS)


def block_size(problem: PathProblem) -> int:
    """Neurons of a block."""
    rows = block_rows(problem.n, problem.m, problem.dtype)
    return max(min(_BLOCK // problem.padded, 8192) // rows, 1) * rows


class _Scratch:
    """Room for the products of a block of neurons, whose shape is that of every forward product."""

    def __init__(self, problem: PathProblem, block: int) -> None:
        slots, columns = thread_slots(), problem.padded
        self.rows = block_rows(problem.n, problem.m, problem.dtype)
        self.Z = aligned_zeros((slots, min(self.rows, problem.m), columns), problem.dtype)
        self.octets = aligned_zeros((slots, byte_rows(problem.n), NEURONS_PER_WORD), np.uint8)
        self.shares = aligned_zeros((slots, columns), problem.dtype)
        self.u_shares = aligned_zeros((-(-block // self.rows), columns), np.float64)


def begin(
    problem: PathProblem, weights: Rows, reach: np.ndarray, forced: np.ndarray = NO_KEYS,
    into: np.ndarray | None = None,
) -> Start:  # fmt: skip
    """Pass over the neurons with these weights; `forced` are keys of entries to be kept, neuron * n + sample.

    The pattern is written to `into`, zeros behind n, if that is given.
    """
    n, m, dtype = problem.n, problem.m, problem.dtype
    block = block_size(problem)
    rows = aligned_zeros((m, octets(n)), np.uint8) if into is None else into
    u, sums = np.zeros(problem.padded), np.zeros((n, n))
    counts = np.empty((n, n), np.uint64)
    limits = aligned_zeros(problem.padded, dtype)
    limits[:n] = reach
    unit = np.abs(problem.unit)
    marked = aligned_zeros((m if forced.size else 0, octets(n)), np.uint8)
    neurons, sample = np.divmod(forced, n)
    np.bitwise_or.at(marked, (neurons, sample >> 3), (1 << (sample & 7)).astype(np.uint8))
    kept = np.zeros(m, np.int64)
    samples, values = [], []
    scratch = _Scratch(problem, min(block, m))
    room = len(scratch.u_shares), scratch.rows * n
    near, sizes = np.empty(room, np.int32), np.empty(room, dtype)
    for first in range(0, m, block):
        last = min(first + block, m)
        masks = PackedMasks.empty(n, last - first)
        shares = scratch.u_shares[: -(-(last - first) // scratch.rows)]
        path_start(
            weights(first, last), problem.points, n, problem.a[first:last], unit[first:last], limits,
            marked[first:last], masks.bits,
            rows[first:last], scratch.Z, scratch.octets, scratch.shares, shares, near, sizes, kept[first:last],
        )  # fmt: skip
        u += shares.sum(axis=0)
        for part in range(len(shares)):
            own = slice(first + part * scratch.rows, min(first + (part + 1) * scratch.rows, last))
            count = int(kept[own].sum())
            samples.append(near[part, :count].copy())
            values.append(sizes[part, :count].copy())
        if problem.scale:
            P, pairs, room_for_counts = panels(masks)
            coactivation_counts(P, pairs, room_for_counts, counts)
            sums += counts
        else:
            weighted = masks.to_dense() * np.abs(problem.a[first:last]).astype(np.float64)
            sums += weighted @ weighted.T
    if problem.scale:
        sums *= problem.scale
    starts = np.concatenate(([0], np.cumsum(kept)))
    return Start(
        u[:n] / np.sqrt(problem.width),
        rows,
        sums,
        Kept(starts, np.concatenate(samples), np.concatenate(values)),
        reach,
    )
