"""Cases of one step with momentum, another loss, both layers or diagnostics, against the plain step of the engine."""

from typing import Any

import numpy as np

from benchmarks.case import OURS, PLAIN, Case, Side, Size, Work
from benchmarks.inputs import close, data, network, same
from benchmarks.steps import LR, EngineTraining, measures
from fastntk import reference
from fastntk.compilation.threads import kernel_threads
from fastntk.training.pattern_history import PatternHistory

_CHECKED_STEPS = 3
_SETTINGS: dict[str, dict[str, Any]] = {
    "heavy ball": {"optimizer": "heavy_ball"},
    "Nesterov": {"optimizer": "nesterov"},
    "logistic loss": {"loss": "logistic"},
    "Huber loss": {"loss": "huber"},
    "both layers": {"layers": "both", "lr": 1e-3},  # the second layer's kernel has an eigenvalue near n / 6
}
_SLOWEST = {"both layers": 1.5}  # times a plain step; the others may take 1.2
_LARGE = {"dual": Size(1000, 8000, 1000), "primal": Size(4000, 8000, 500)}
_SMALL = {"dual": Size(200, 2000, 200), "primal": Size(200, 2000, 100)}


def _work(engine: str, settings: dict[str, Any], size: Size) -> Work:
    (X, y), net = data(size), network(size)
    if settings.get("loss") == "logistic":
        y = np.copysign(1.0, y)
    ours = EngineTraining(engine, X, y, net, **settings)
    plain = EngineTraining(engine, X, y, net)

    def check() -> None:
        """Compare the first steps from the start; the rounds go on from there."""
        logged = []
        for _ in range(_CHECKED_STEPS):
            with kernel_threads():
                logged.append(ours.step())
                plain.step()
        expected = reference.train(X, y, net.W, net.a, steps=_CHECKED_STEPS - 1, **{"lr": LR, **settings})
        found = dict(zip(("loss", "flips", "drift"), np.transpose(logged), strict=True))
        close(found["loss"], expected["loss"], "losses", 1e-3)
        close(found["drift"], expected["drift"], "drifts", 1e-3)
        if not np.allclose(
            found["flips"], expected["flips"], rtol=1e-3, atol=1e-5
        ):  # entries within rounding of 0
            raise AssertionError(f"pattern changes differ: {found['flips']} and {expected['flips']}")

    sides = {OURS: Side(ours.step, kernel_threads), PLAIN: Side(plain.step, kernel_threads)}
    return Work(sides, check, measures(engine, size))


def _case(engine: str, name: str) -> Case:
    settings = _SETTINGS[name]
    return Case(
        f"{name} step, {engine}",
        f"the step of training with {', '.join(f'{key}={value!r}' for key, value in settings.items())}",
        {PLAIN: "gradient descent on the squared loss, first layer, the same engine and metrics"},
        lambda size: _work(engine, settings, size),
        _SMALL[engine],
        (_LARGE[engine],),
        {(_LARGE[engine], PLAIN): 1.0 / _SLOWEST.get(name, 1.2)},
    )


class WatchedTraining(EngineTraining):
    """With diagnostics."""

    def __init__(self, engine: str, X: np.ndarray, y: np.ndarray, net: Any) -> None:
        super().__init__(engine, X, y, net)
        self.history = PatternHistory(len(X), net.width)
        self.steps = 0

    def step(self) -> tuple[float, float, float]:
        engine = self.engine
        self.history.observe(self.steps, engine.initial_masks, engine.masks, engine.drifts())
        self.steps += 1
        return super().step()


def _watched(engine: str, size: Size) -> Work:
    (X, y), net = data(size), network(size)
    ours, plain = WatchedTraining(engine, X, y, net), EngineTraining(engine, X, y, net)

    def check() -> None:
        """Changes from step to step, against dense patterns."""
        masks = []
        with kernel_threads():
            for _ in range(_CHECKED_STEPS):
                masks.append(ours.engine.masks.to_dense())
                ours.step()
                plain.step()
        expected = reference.flip_history(masks, range(_CHECKED_STEPS))
        seen = ours.history.result()
        same(seen.changed, expected["changed"], "changes")
        same(seen.neurons.total, expected["neuron_total"], "changes of the neurons")
        same(seen.samples.first, expected["sample_first"], "first changes of the samples")

    sides = {OURS: Side(ours.step, kernel_threads), PLAIN: Side(plain.step, kernel_threads)}
    return Work(sides, check, measures(engine, size))


def _watching(engine: str) -> Case:
    return Case(
        f"diagnostics step, {engine}",
        "the step of training with diagnostics=True, observed at every step",
        {PLAIN: "the same step without"},
        lambda size: _watched(engine, size),
        _SMALL[engine],
        (_LARGE[engine],),
        {(_LARGE[engine], PLAIN): 1.0 / 1.1},
    )


_ENGINES = ("dual", "primal")
VARIANTS = (
    *(_case(engine, name) for engine in _ENGINES for name in _SETTINGS),
    *map(_watching, _ENGINES),
)
