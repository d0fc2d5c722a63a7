"""Watching a run: what changes from one logged step to the next, kept for each sample and each neuron."""

import numpy as np

from fastntk.device_masks import on_host
from fastntk.engines import Engine
from fastntk.masks import flip_count, flip_marginals
from fastntk.memory import require_memory
from fastntk.packing import PackedMasks
from fastntk.results.diagnostics import LEVELS, Diagnostics, FlipHistory


class PatternHistory:
    """Collects the `Diagnostics` of one run; its memory is one more packed pattern and a few vectors.

    Cost of an observation: three passes over packed patterns, and quantiles of m numbers.
    """

    def __init__(self, n: int, m: int) -> None:
        require_memory(n * m // 8 + 6 * 8 * (n + m), f"the diagnostics of n={n} samples and m={m} neurons")
        self._steps: list[int] = []
        self._net: list[int] = []
        self._changed: list[int] = []
        self._quantiles: list[np.ndarray] = []
        self._totals = np.zeros(n, dtype=np.int64), np.zeros(m, dtype=np.int64)
        self._firsts = np.full(n, -1), np.full(m, -1)
        self._last = PackedMasks.empty(n, m)

    def observe(self, step: int, engine: Engine) -> None:
        """Compare the pattern with the one observed before."""
        masks = on_host(engine.masks)
        if not self._steps:
            self._initial = on_host(engine.initial_masks)
            self._last.bits[...] = self._initial.bits
        marginals = flip_marginals(self._last, masks)
        for changes, total, first in zip(marginals, self._totals, self._firsts, strict=True):
            total += changes
            first[(first < 0) & (changes > 0)] = step
        self._steps.append(step)
        self._net.append(flip_count(self._initial, masks))
        self._changed.append(int(marginals[0].sum()))
        self._quantiles.append(np.quantile(engine.drifts(), LEVELS))
        self._last.bits[...] = masks.bits  # engines reuse the memory of their patterns

    def result(self) -> Diagnostics:
        """What was observed so far, at least one step."""
        net = flip_marginals(self._initial, self._last)
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
