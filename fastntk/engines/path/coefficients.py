"""Coefficients of the samples in the change of weights: those of the active entries, and what changes of pattern add.

Neuron r moves by ``-(a_r / sqrt(m)) sum_l (M_lr E_l(s) + q_lr(s)) x_l``.  A gradient taken k steps ago has
moved the weights by ``h(k) = c + b (1 + beta + ... + beta^(k-1))`` times it, and the velocity by
``beta^(k-1)``: so an entry that changes at step t adds plus or minus ``sum_{t' >= t} h(s - t') lr e_l(t')``
to q.
"""

from dataclasses import dataclass

import numpy as np

from fastntk.engines.path.events import Events
from fastntk.engines.path.problem import PathProblem
from fastntk.kernels.cpu.path_changes import list_changes, mark_changes, sum_changes


@dataclass(frozen=True)
class Sparse:
    """Numbers of entries; keys are neuron * n + sample, ascending and distinct."""

    keys: np.ndarray
    values: np.ndarray

    @classmethod
    def none(cls) -> "Sparse":
        """No entry."""
        return cls(np.empty(0, np.int64), np.empty(0))

    @classmethod
    def summed(cls, keys: np.ndarray, values: np.ndarray) -> "Sparse":
        """The sums of the values of equal keys."""
        distinct, where = np.unique(keys, return_inverse=True)
        return cls(distinct, np.bincount(where, weights=values, minlength=distinct.size))

    def __add__(self, other: "Sparse") -> "Sparse":
        """Entry by entry."""
        return self.summed(
            np.concatenate((self.keys, other.keys)), np.concatenate((self.values, other.values))
        )

    def dense(self, first: int, last: int, n: int) -> np.ndarray:
        """(last - first, n), those of some neurons."""
        some = slice(*np.searchsorted(self.keys, (first * n, last * n)))
        out = np.zeros((last - first) * n)
        out[self.keys[some] - first * n] = self.values[some]
        return out.reshape(-1, n)


class Responses:
    """What gradients of a window do to weights and velocities."""

    def __init__(self, problem: PathProblem, e: np.ndarray) -> None:
        self._problem, self._e = problem, e

    def of(self, samples: np.ndarray) -> "Responses":
        """Those of some samples."""
        return Responses(self._problem, self._e[:, samples])

    def position(self, step: int) -> np.ndarray:
        """(step + 1, n): the coefficient at `step` that the gradients from each step on have made."""
        beta, ahead, direct, _ = self._problem.optimizer.coefficients()
        back = np.arange(step, 0, -1)
        return self._tails(direct + ahead * (1.0 - beta**back) / (1.0 - beta), step)

    def velocity(self, step: int) -> np.ndarray:
        """The same for the velocity."""
        beta = self._problem.optimizer.coefficients()[0]
        return self._tails(beta ** np.arange(step - 1.0, -1.0, -1.0), step)

    def coast(self, step: int) -> tuple[float, float]:
        """Position and velocity after so many steps without gradient, of a unit velocity."""
        beta, ahead, _, _ = self._problem.optimizer.coefficients()
        return ahead * beta * (1.0 - beta**step) / (1.0 - beta), beta**step

    def _tails(self, weights: np.ndarray, step: int) -> np.ndarray:
        tails = np.zeros((step + 1, self._e.shape[1]))
        tails[:step] = np.cumsum((weights[:, None] * self._problem.lr * self._e[:step])[::-1], axis=0)[::-1]
        return tails


def changed_entries(events: Events, tails: np.ndarray, n: int) -> Sparse:
    """What the events up to the last step of the tails add to the coefficients of their entries."""
    some = events.until(len(tails) - 1)
    marks = np.zeros((int(some.neurons.max(initial=-1)) + 1, -(-n // 64)), np.uint64)
    mark_changes(some.first, some.neurons, marks)
    counts = np.bitwise_count(marks).sum(axis=1, dtype=np.int64)
    starts = np.cumsum(counts) - counts
    keys, values = np.empty(counts.sum(), np.int64), np.zeros(counts.sum())
    list_changes(marks, n, starts, keys)
    sum_changes(some.first, some.neurons, some.on, tails, marks, starts, values)
    return Sparse(keys, values)


def pattern(rows: np.ndarray, n: int) -> np.ndarray:
    """Rows of mask bytes as booleans, (neurons, n)."""
    return np.unpackbits(rows, axis=1, bitorder="little", count=n).astype(np.bool_)


def differences(before: np.ndarray, after: np.ndarray, n: int) -> Sparse:
    """``after - before`` of two patterns given as rows of mask bytes."""
    neurons, octets = np.nonzero(before ^ after)
    bits = np.unpackbits((before ^ after)[neurons, octets][:, None], axis=1, bitorder="little")
    which, bit = np.nonzero(bits)
    on = (after[neurons[which], octets[which]] >> bit.astype(np.uint8)) & 1
    keys = neurons[which].astype(np.int64) * n + 8 * octets[which] + bit
    order = np.argsort(keys, kind="stable")
    return Sparse(keys[order], np.where(on, 1.0, -1.0)[order])
