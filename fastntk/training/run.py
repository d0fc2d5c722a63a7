"""The work of a run: its engine follows descent or flow to the end, all steps at once where that is quicker."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fastntk.base.memory import available_bytes
from fastntk.base.progress import Progress, reporter
from fastntk.compilation.jit import CompileClock
from fastntk.compilation.threads import kernel_threads
from fastntk.device.arrays import give_back, upload
from fastntk.distributed import Workers
from fastntk.engines.choice import PATH_PASSES, engine_of
from fastntk.engines.dual import DualEngine
from fastntk.engines.interface import Engine
from fastntk.engines.path import Path as SolvedPath
from fastntk.engines.path import PathEngine, Slow, attempt, attempt_flow
from fastntk.engines.step_sizes import Solution
from fastntk.model.deep import DeepReLU
from fastntk.model.network import TwoLayerReLU
from fastntk.model.streamed import StreamedNetwork
from fastntk.spectra import lambda_max
from fastntk.training.deep import run_deep
from fastntk.training.descent import descend
from fastntk.training.flow import integrate
from fastntk.training.gram_metrics import gram_metrics
from fastntk.training.metrics import Recorder
from fastntk.training.outcome import Explosion, Finished, Outcome
from fastntk.training.pattern_history import PatternHistory
from fastntk.training.problem import Problem, stepwise


def run(
    problem: Problem,
    threads: int | None,
    progress: Progress,
    workers: Workers | None = None,
    folder: Path | None = None,
) -> Outcome:
    """Move the network to where it ends; how it ends is part of the answer.

    In the folder a run that is cut off leaves what it goes on from when it is called again, if its engine can.
    """
    if isinstance(problem.start, DeepReLU):
        return run_deep(problem, threads, progress)
    began = time.perf_counter()
    with (
        CompileClock.running() as clock,
        reporter(progress, problem.settings.goal, f"width {problem.start.width}") as report,
    ):
        report = _forward(report)
        problem, path = _solved(problem, threads, workers, report, folder)
        samples, settings, start = problem.samples, problem.settings, problem.start
        assert isinstance(start, TwoLayerReLU)
        X, y, kind = samples.X, samples.y, engine_of(problem.choice)
        follow: Callable[..., Finished | Explosion | Solution] = descend
        if settings.dynamics == "flow":
            follow = integrate
        layers = settings.motion.layers
        kernel = kind.tangent_kernel(X, start, layers)
        history = PatternHistory(len(X), start.width) if settings.diagnostics else None
        gram = gram_metrics(kernel, lambda: samples.limit(layers, start.a), settings.metrics)
        recorder = Recorder(kernel, len(X), settings.metrics, gram, history, settings.snapshots)
        with kernel_threads(threads) as used:
            moving = kind(X, start, settings.motion) if path is None else PathEngine(start, path)
            with moving.working():
                end = follow(moving, y, settings, recorder, report)
            net = None if isinstance(end, Explosion) else _network(problem, start, moving)
            if net is not None:
                recorder.finish()
    seconds = time.perf_counter() - began - clock.seconds
    blamed = isinstance(end, Explosion) and not end.overflow
    largest = float(lambda_max(kernel.initial(moving))) if blamed else None
    engine = {"name": problem.choice.name, "reason": problem.choice.reason, **moving.facts()}
    return Outcome(end, net, engine, recorder.arrays(), recorder.limit, largest, used, seconds, clock.seconds)


def _forward(report: Callable[[int], object]) -> Callable[[int], object]:
    """Reports of more than has been reached before: a path is solved, then its steps are looked up."""
    reached = 0

    def told(step: int) -> None:
        nonlocal reached
        if step > reached:
            reached = step
            report(step)

    return told


def _solved(
    problem: Problem,
    threads: int | None,
    workers: Workers | None,
    report: Callable[[int], object],
    folder: Path | None,
) -> tuple[Problem, SolvedPath | None]:
    """All steps at once if the path engine is chosen; where that is slow the problem is one for another engine."""
    if problem.choice.name != PathEngine.name:
        return problem, None
    X, settings, net = problem.samples.X, problem.settings, problem.start
    assert isinstance(net, TwoLayerReLU)
    (n, d), m = X.shape, net.width
    held = DualEngine.bytes_needed(n, d, m, net.a.itemsize, settings.motion) + m * d * net.a.itemsize
    parts = 1 if set(settings.metrics) <= {"loss", "flips", "drift"} and not settings.diagnostics else 2
    least = PATH_PASSES if held <= available_bytes() else 0.0
    with kernel_threads(threads):
        try:
            data = X, problem.samples.y, net, settings.loss
            where = least, workers, folder
            if settings.times is None:
                descent = settings.optimizer, settings.lr, settings.steps
                found = attempt(*data, *descent, *where, lambda step: report(step // parts))
            else:
                found = attempt_flow(*data, settings.times, settings.tolerance, *where)
        except Slow as slow:
            return stepwise(problem, f"the path engine gave up: {slow}"), None
    return problem, found


def _network(problem: Problem, start: TwoLayerReLU, moving: Engine) -> TwoLayerReLU:
    """The trained network, in memory of its own, on the GPU if the data came from there."""
    if not np.isfinite([moving.drift(), moving.drift_a()]).all():
        raise problem.samples.overflow("the change of the weights", start.a.dtype)
    if isinstance(moving, PathEngine) and _streamed(start):
        return moving.network()
    W, a = start.W if problem.drawn else np.empty_like(start.W), np.array(moving.a)
    moving.write_weights(W)
    library = problem.samples.library
    if library is None:
        return TwoLayerReLU(W, a)
    return TwoLayerReLU(*(give_back(upload(part), library) for part in (W, a)))


def _streamed(start: TwoLayerReLU) -> bool:
    """Whether the weights at the end of a path are made when they are asked for, not here."""
    if isinstance(start, StreamedNetwork):
        return not start.held
    return 2 * start.W.nbytes > available_bytes()
