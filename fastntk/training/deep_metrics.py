"""What a run with several hidden layers logs: everything layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastntk.base.memory import require_memory
from fastntk.engines.deep import DeepEngine
from fastntk.matrices.layers import LayerGrams
from fastntk.spectra import SmallestEigenvalue, SpectralNorm
from fastntk.training.pattern_history import PatternHistory
from fastntk.training.samples import LayerLimits

__all__ = ["DeepRecorder", "LayerMetrics"]

_OF_GRAM = ("gram", "lambda_min")


class LayerMetrics:
    """Numbers of the Gram matrix G^(h) of each layer that moves, and of their sum."""

    def __init__(self, n: int, depth: int, limits: LayerLimits, metrics: Sequence[str]) -> None:
        moving = list(limits.K)
        self._depth, self._limits, self._metrics = depth, limits.K, metrics
        kept = len(moving) * (1 if "gram" in metrics else 0) + 4
        require_memory(8 * n * n * kept, f"Gram matrices of {len(moving)} layers for n={n} samples")
        self._total = np.empty((n, n))
        self._smallest = {layer: SmallestEigenvalue() for layer in (*moving, 0)}  # 0: of the sum
        self._changes = {layer: SpectralNorm() for layer in moving}
        self._distances = {layer: SpectralNorm() for layer in moving}
        self._initial: dict[int, np.ndarray] = {}
        self.limit = limits.ends
        lowest = [self.limit["lambda_0"], *self.limit["lambda_0_of_layers"]]
        self._halves = {layer: value / 2.0 for layer, value in zip((0, *moving), lowest, strict=True)}

    def __call__(self, engine: DeepEngine, kernel: LayerGrams) -> dict[str, Any]:
        """At the present state."""
        names = []
        if "gram" in self._metrics:
            names += ["gram_change", "gram_limit_distance"]
        if "lambda_min" in self._metrics:
            names += ["lambda_min", "lambda_min_lower", "lambda_min_residual"]
        found: dict[str, Any] = {name: np.full(self._depth + 1, np.nan) for name in names}
        self._total.fill(0.0)
        for layer, G in layer_grams(engine, kernel):
            self._total += G
            if "gram" in self._metrics:
                initial = self._initial.setdefault(layer, G if layer in self._initial else G.copy())
                found["gram_change"][layer - 1] = self._changes[layer].update(G, initial)
                found["gram_limit_distance"][layer - 1] = self._distances[layer].update(
                    G, self._limits[layer]
                )
            if "lambda_min" in self._metrics:
                # the theory asks whether it keeps half of its limit: the bound says so wherever it is true
                smallest = self._smallest[layer].update(G, decide=self._halves[layer])
                found["lambda_min"][layer - 1] = smallest
                found["lambda_min_lower"][layer - 1] = smallest.lower_bound
                found["lambda_min_residual"][layer - 1] = smallest.residual_bound
        if "lambda_min" in self._metrics:
            found["lambda_min_total"] = float(self._smallest[0].update(self._total, decide=self._halves[0]))
        return found


class DeepRecorder:
    """Collects the metrics of one run; the loss is always among them."""

    def __init__(
        self,
        X: np.ndarray,
        dtype: np.dtype,
        metrics: tuple[str, ...],
        gram: LayerMetrics | None,
        snapshots: tuple[int, ...],
        histories: Sequence[PatternHistory] = (),
    ) -> None:
        if snapshots:
            n = len(X)
            require_memory(8 * n * n * len(snapshots), f"{len(snapshots)} snapshots of H for n={n} samples")
        wants = gram is not None or bool(snapshots)
        self._kernel = LayerGrams(X, dtype) if wants else None
        self._metrics, self._gram, self._histories = metrics, gram, histories
        self._snapshots: dict[int, np.ndarray | None] = dict.fromkeys(snapshots)
        self._steps: list[int] = []
        self._series: dict[str, list[Any]] = {"loss": []}
        self.limit = None if gram is None else gram.limit

    def record(self, step: int, loss: float, engine: DeepEngine) -> None:
        """Log one step."""
        row: dict[str, Any] = {"loss": loss}
        if "flips" in self._metrics:
            row["flips"] = engine.flips()
        if "drift" in self._metrics:
            row["drift"] = engine.drift()
            if engine.net.depth + 1 in engine.moving:
                row["drift_a"] = engine.drift_a()
        if "drift_norm" in self._metrics:
            row["drift_norm"] = engine.drift_norm()
        if self._gram is not None and self._kernel is not None:
            row |= self._gram(engine, self._kernel)
        for h, history in enumerate(self._histories):
            history.observe(step, engine.initial_masks[h], engine.masks[h], engine.drifts(h))
        self._append(step, row)

    def record_divergence(self, step: int, loss: float) -> None:
        """Log the step at which the loss exploded: nothing else is meaningful there."""
        row = {name: np.full(np.shape(values[-1:])[1:], np.nan) for name, values in self._series.items()}
        self._append(step, {**row, "loss": loss})

    def take_snapshot(self, step: int, engine: DeepEngine) -> None:
        """Keep the sum over the layers that move, at a step that was asked for."""
        if step in self._snapshots and self._kernel is not None:
            total = np.zeros((engine.n, engine.n))
            for _, G in layer_grams(engine, self._kernel):
                total += G
            self._snapshots[step] = total

    def _append(self, step: int, row: dict[str, Any]) -> None:
        self._steps.append(step)
        for name, value in row.items():
            self._series.setdefault(name, []).append(value)

    def arrays(self) -> dict[str, Any]:
        """What was logged so far, as the fields of a `Run`."""
        return {
            "steps": np.array(self._steps, dtype=np.int64),
            **{name: np.array(values, dtype=np.float64) for name, values in self._series.items()},
            "diagnostics": tuple(history.result() for history in self._histories) or None,
            "snapshots": {step: H for step, H in self._snapshots.items() if H is not None},
        }


def layer_grams(engine: DeepEngine, kernel: LayerGrams) -> Any:
    """The layers that move with their Gram matrices, each of which lasts until the next is asked for."""
    net = engine.net
    return kernel(engine.moving, engine.x, engine.deltas(), engine.masks[-1], net.a, net.scale)


def layer_metrics(
    n: int, depth: int, limits: Callable[[], LayerLimits], metrics: Sequence[str]
) -> LayerMetrics | None:
    """`LayerMetrics`, or None if no metric needs a Gram matrix."""
    return LayerMetrics(n, depth, limits(), metrics) if any(name in metrics for name in _OF_GRAM) else None
