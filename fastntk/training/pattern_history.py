"""Watching a run: what changes from one logged step to the next, kept for each sample and each neuron."""

from typing import Any

import numpy as np

from fastntk.base.memory import require_memory
from fastntk.device.arrays import on_host
from fastntk.model.patterns import flip_count, flip_marginals
from fastntk.results.diagnostics import LEVELS, Diagnostics, FlipHistory


class PatternHistory:
    """Collects the `Diagnostics` of one run; its memory is one more packed pattern and a few vectors.

    Cost of an observation: three passes over packed patterns, and quantiles of m numbers.  Patterns on a GPU stay there
    and are compared there; n + m counts and m drifts come to the host.
    """

    def __init__(self, n: int, m: int) -> None:
        require_memory(n * m // 8 + 6 * 8 * (n + m), f"the diagnostics of n={n} samples and m={m} neurons")
        self._steps: list[int] = []
        self._net: list[int] = []
        self._changed: list[int] = []
        self._quantiles: list[np.ndarray] = []
        self._totals = np.zeros(n, dtype=np.int64), np.zeros(m, dtype=np.int64)
        self._firsts = np.full(n, -1), np.full(m, -1)
        self._initial: Any = None
        self._last: Any = None

    def observe(self, step: int, initial: Any, masks: Any, drifts: np.ndarray) -> None:
        """Compare the pattern with the one observed before, at first with the initial one."""
        if self._last is None:
            self._initial = initial
            self._last = initial.copy()
        marginals = _marginals(self._last, masks)
        for changes, total, first in zip(marginals, self._totals, self._firsts, strict=True):
            total += changes
            first[(first < 0) & (changes > 0)] = step
        self._steps.append(step)
        self._net.append(flip_count(self._initial, masks))
        self._changed.append(int(marginals[0].sum()))
        self._quantiles.append(np.quantile(drifts, LEVELS))
        self._last.overwrite(masks)  # engines reuse the memory of their patterns

    def result(self) -> Diagnostics:
        """What was observed so far, at least one step."""
        net = _marginals(self._initial, self._last)
        samples, neurons = map(FlipHistory, net, self._totals, self._firsts)
        return Diagnostics(
            steps=np.array(self._steps),
            net=np.array(self._net),
            changed=np.array(self._changed),
            levels=np.array(LEVELS),
            drift_quantiles=np.array(self._quantiles),
            samples=samples,
            neurons=neurons,
        )


def _marginals(before: Any, after: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pattern changes of each sample and of each neuron, on the host."""
    samples, neurons = flip_marginals(before, after)
    return on_host(samples), on_host(neurons)
