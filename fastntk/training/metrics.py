"""What a run logs: loss, pattern changes, drift, and the spectrum of the Gram matrix."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastntk.base import checks
from fastntk.base.memory import require_memory
from fastntk.engines import Engine
from fastntk.results import METRICS
from fastntk.training.gram_metrics import gram_metrics
from fastntk.training.pattern_history import PatternHistory
from fastntk.training.tangent import TangentKernel


def chosen(metrics: str | Iterable[str]) -> tuple[str, ...]:
    """Metric names in the order of `METRICS`; "all" takes all."""
    if metrics == "all":
        return METRICS
    if not isinstance(metrics, Iterable):
        raise TypeError(f"metrics must be 'all' or names of metrics, got {metrics!r}")
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for name in names:
        if name not in METRICS:
            known = ", ".join(map(repr, METRICS))
            raise ValueError(f"metrics must be 'all' or some of {known}, got {name!r}")
    return tuple(name for name in METRICS if name in names)


def chosen_snapshots(snapshots: Iterable[int], steps: int) -> list[int]:
    """Distinct steps from 0 to ``steps``, ascending; there may be none."""
    if isinstance(snapshots, str) or not isinstance(snapshots, Iterable):
        raise TypeError(f"snapshots must be a list of steps, got {snapshots!r}")
    found = sorted({checks.integer(step, "snapshots", 0) for step in snapshots})
    if found and found[-1] > steps:
        raise ValueError(f"snapshots must be at most the number of steps ({steps}), got {found[-1]}")
    return found


class Recorder:
    """Collects the metrics of one run; the loss is always among them, since it costs nothing."""

    def __init__(
        self,
        kernel: TangentKernel,
        n: int,
        metrics: tuple[str, ...],
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
        self.gram = gram_metrics(kernel, n, metrics)
        self.limit: dict[str, float] | None = None if self.gram is None else self.gram.limit

    def wants_state(self, step: int, logged: bool) -> bool:
        """Whether a step needs the state of the engine then, not what is logged of it on a GPU alone."""
        watched = self._history is not None or self.gram is not None
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
            self._history.observe(step, engine)

    def take_snapshot(self, step: int, engine: Engine) -> None:
        """Keep H of a step that was asked for."""
        if step in self._snapshots:
            self._snapshots[step] = np.array(self._kernel(engine))

    def _append(self, name: str, value: float) -> None:
        self._series.setdefault(name, []).append(value)

    def arrays(self) -> dict[str, Any]:
        """What was logged so far, as the fields of a `Run`."""
        series = {name: np.array(values, dtype=np.float64) for name, values in self._series.items()}
        return {
            "steps": np.array(self._steps, dtype=np.int64),
            **series,
            "diagnostics": self._history.result() if self._history is not None else None,
            "snapshots": {step: H for step, H in self._snapshots.items() if H is not None},
        }
