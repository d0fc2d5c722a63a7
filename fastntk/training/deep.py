"""A run with several hidden layers."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from fastntk.base.checks import all_finite
from fastntk.base.memory import require_memory
from fastntk.base.progress import Progress, reporter
from fastntk.compilation.jit import CompileClock
from fastntk.compilation.threads import kernel_threads
from fastntk.engines.deep import DeepEngine
from fastntk.matrices.deep import grams_of
from fastntk.model.deep import DeepReLU, weights_bytes
from fastntk.model.draws import Draws
from fastntk.model.initial import DrawnLayer, HeldLayer, InitialLayer
from fastntk.model.words import layer_numbers
from fastntk.spectra import lambda_max
from fastntk.training.deep_metrics import DeepRecorder, layer_metrics
from fastntk.training.descent import descend_on_host
from fastntk.training.outcome import Explosion, Outcome
from fastntk.training.pattern_history import PatternHistory
from fastntk.training.problem import Problem
from fastntk.training.samples import LayerLimits

__all__ = ["run_deep"]


def run_deep(problem: Problem, threads: int | None, progress: Progress) -> Outcome:
    """Move the network to where it ends."""
    samples, settings, start = problem.samples, problem.settings, problem.start
    assert isinstance(start, DeepReLU)
    X, y, a, depth = samples.X, samples.y, start.a, start.depth
    moving = layer_numbers(settings.layers, depth)
    began = time.perf_counter()
    with CompileClock.running() as clock:
        # Dense linear algebra, before BLAS is limited to one thread.
        gram = layer_metrics(len(X), depth, lambda: _limits(problem, start, moving), settings.metrics)
        histories = [PatternHistory(len(X), m) for m in start.widths if settings.diagnostics]
        recorder = DeepRecorder(X, start.dtype, settings.metrics, gram, settings.snapshots, histories)
        with (
            kernel_threads(threads) as used,
            reporter(progress, settings.goal, f"widths {', '.join(map(str, start.widths))}") as report,
        ):
            net, initial = _start(problem, start)
            engine = DeepEngine(X, net, initial, moving, settings.optimizer)
            end = descend_on_host(engine, y, settings, recorder, report)
    seconds = time.perf_counter() - began - clock.seconds
    blamed = isinstance(end, Explosion) and not end.overflow
    largest = _largest(X, net, a, initial, moving) if blamed else None
    trained = None if isinstance(end, Explosion) else net
    if trained is not None and not all(map(all_finite, [*net.W, net.a])):
        raise samples.overflow("the weights", start.dtype)
    chosen = {"name": problem.choice.name, "reason": problem.choice.reason}
    return Outcome(
        end, trained, chosen, recorder.arrays(), recorder.limit, largest, used, seconds, clock.seconds
    )


def _limits(problem: Problem, start: DeepReLU, moving: tuple[int, ...]) -> LayerLimits:
    """The limits for drawn weights a, which the networks of a sweep share, or for those that were given."""
    square = 1.0 if problem.drawn else float(np.square(start.a, dtype=np.float64).mean())
    return problem.samples.layer_limits(moving, start.depth, start.scale, square)


def _start(problem: Problem, start: DeepReLU) -> tuple[DeepReLU, list[InitialLayer]]:
    """A network that may be changed, and where it starts: a network that was drawn for the run can be drawn again."""
    if problem.drawn:
        draws = Draws(problem.settings.seed)
        drawn = [DrawnLayer(draws, h, W.shape[1], start.dtype) for h, W in enumerate(start.W, 1)]
        return start, list(drawn)
    require_memory(weights_bytes(start.d, start.widths, start.dtype), "a copy of net")
    net = DeepReLU.wrap([W.copy() for W in start.W], start.a, start.scale)
    return net, [HeldLayer(W) for W in start.W]


def _largest(
    X: np.ndarray, net: DeepReLU, a: np.ndarray, initial: Sequence[InitialLayer], moving: tuple[int, ...]
) -> float:
    """lambda_max of the kernel at the start, after the weights have left it."""
    W = [layer.rows(0, m) for layer, m in zip(initial, net.widths, strict=True)]
    before = DeepReLU.wrap(W, a, net.scale)
    total = np.zeros((len(X), len(X)))
    with kernel_threads():
        for _, G in grams_of(X, before, moving):
            total += G
    return float(lambda_max(total))
