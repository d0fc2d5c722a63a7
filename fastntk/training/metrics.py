"""What a run logs: loss, pattern changes, drift, and the spectrum of the Gram matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastntk.base.memory import require_memory
from fastntk.engines.interface import Engine
from fastntk.engines.tangent import TangentKernel
from fastntk.training.gram_metrics import GramMetrics
from fastntk.training.pattern_history import PatternHistory

_LOGGED_ON_GPU = frozenset({"loss", "flips", "drift"})  # by its own loops, many steps at a time


class Recorder:
    """Collects the metrics of one run; the loss is always among them, since it costs nothing."""

    def __init__(
        self,
        kernel: TangentKernel,
        n: int,
        metrics: tuple[str, ...],
        gram: GramMetrics | None = None,
        history: PatternHistory | None = None,
        snapshots: Sequence[int] = (),
    ) -> None:
        if snapshots:
            require_memory(8 * n * n * len(snapshots), f"{len(snapshots)} snapshots of H for n={n} samples")
        self._kernel = kernel
        self.metrics = metrics
        self._history = history
        self._snapshots: dict[int, np.ndarray | None] = dict.fromkeys(snapshots)
        self._steps: list[int] = []
        self._series: dict[str, list[float]] = {"loss": []}
        self.gram = gram  # if a metric needs H

    @property
    def limit(self) -> dict[str, float] | None:
        """Eigenvalues of the limit of H, if a metric needs H."""
        return None if self.gram is None else self.gram.limit

    def wants_state(self, step: int, logged: bool) -> bool:
        """Whether a step needs the state of the engine then, not what is logged of it on a GPU alone."""
        watched = self._history is not None or not _LOGGED_ON_GPU.issuperset(self.metrics)
        return step in self._snapshots or (logged and watched)

    def record_divergence(self, step: int, loss: float) -> None:
        """Log the step at which the loss exploded: nothing else is meaningful there."""
        self._steps.append(step)
        for name in self._series:
            self._append(name, loss if name == "loss" else np.nan)

    def record(
        self,
        step: int,
        loss: float,
        engine: Engine,
        flips: float | None = None,
        drift: float | None = None,
        drift_a: float | None = None,
    ) -> None:
        """Log one step; flips and drifts are asked of the engine unless they are known."""
        self._steps.append(step)
        self._append("loss", loss)
        if "flips" in self.metrics:
            self._append("flips", engine.flip_fraction() if flips is None else flips)
        if "drift" in self.metrics:
            self._append("drift", engine.drift() if drift is None else drift)
            if engine.layers != "first":
                self._append("drift_a", engine.drift_a() if drift_a is None else drift_a)
        for name, value in (self.gram(engine) if self.gram is not None else {}).items():
            self._append(name, value)
        if self._history is not None:
            self._history.observe(step, engine.initial_masks, engine.masks, engine.drifts())

    def take_snapshot(self, step: int, engine: Engine) -> None:
        """Keep H of a step that was asked for."""
        if step in self._snapshots:
            self._snapshots[step] = np.array(self._kernel(engine))

    def finish(self) -> None:
        """Prove the last lower bound of lambda_min once more: along the run it may be looser."""
        tight = None if self.gram is None else self.gram.last_lower()
        if tight is not None:
            self._series["lambda_min_lower"][-1] = tight

    def _append(self, name: str, value: float) -> None:
        self._series.setdefault(name, []).append(value)

    def arrays(self) -> dict[str, Any]:
        """What was logged so far, as the fields of a `Run`."""
        series = {name: np.array(values, dtype=np.float64) for name, values in self._series.items()}
        return {
            "steps": np.array(self._steps, dtype=np.int64),
            **series,
            "diagnostics": None if self._history is None else self._history.result(),
            "snapshots": {step: H for step, H in self._snapshots.items() if H is not None},
        }
