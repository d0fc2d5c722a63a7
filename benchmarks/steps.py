"""Cases of one step of training, with the metrics of that step."""

from typing import Any

import numpy as np

from benchmarks import with_torch
from benchmarks.case import NUMPY, OURS, PRODUCT, TORCH, Case, Measure, Side, Size, Work
from benchmarks.inputs import close, data, network
from benchmarks.masks import GROWTH_IN_M, GROWTH_IN_N, table_reads
from fastntk import losses, optimizers, reference
from fastntk.compilation.threads import kernel_threads
from fastntk.engines.choice import ENGINES
from fastntk.engines.motion import Motion
from fastntk.reference.network import descend

LR = 0.1
_CHECKED_STEPS = 3


class NumpyTraining:
    """The reference's training loop, one step a call, weights updated in place."""

    def __init__(self, X: np.ndarray, y: np.ndarray, W: np.ndarray, a: np.ndarray) -> None:
        self.X, self.y, self.a = (v.astype(W.dtype) for v in (X, y, a))
        self.W0, self.W = W, W.copy()
        self.masks0 = reference.activation_masks(self.X, W)

    def step(self) -> tuple[float, float, float]:
        """Loss, pattern changes and drift, then the step."""
        Z = reference.pre_activations(self.X, self.W)
        masks = Z >= 0
        u = reference.outputs(Z, self.a)
        logged = (
            reference.loss(u, self.y),
            reference.flip_fraction(masks, self.masks0),
            reference.drift(self.W, self.W0),
        )
        descend(self.X, Z, masks, u - self.y, self.W, self.a, LR, "first")
        return logged


class EngineTraining:
    """What `fastntk.train` does in each step."""

    def __init__(
        self,
        engine: str,
        X: np.ndarray,
        y: np.ndarray,
        net: Any,
        layers: str = "first",
        loss: str = "squared",
        optimizer: str = "gd",
        lr: float = LR,
    ) -> None:
        self.y, self.lr = y.astype(np.float64), lr
        self.loss = losses.resolve(loss)
        with kernel_threads():
            self.engine = ENGINES[engine](X, net, Motion(layers, optimizers.resolve(optimizer)))

    def step(self) -> tuple[float, float, float]:
        """Loss, pattern changes and drift, then the step."""
        loss, e = self.loss.evaluate(self.engine.u, self.y)
        logged = (loss, self.engine.flip_fraction(), self.engine.drift())
        self.engine.step(e, self.lr)
        return logged


def _training(engine: str, size: Size) -> Work:
    (X, y), net = data(size), network(size)
    moving = EngineTraining(engine, X, y, net)
    baseline = NumpyTraining(X, y, net.W, net.a)
    sides = {OURS: Side(moving.step, kernel_threads), NUMPY: Side(baseline.step)}
    sides[PRODUCT] = Side(lambda: net.W @ X.T)
    if with_torch.available():
        sides[TORCH] = Side(with_torch.LossOnlyTraining(X, y, net.W, net.a, LR).step)

    def check() -> None:
        """Compare the first steps from the start; the rounds go on from there."""
        tolerance = 1e-3 if size.dtype == "float32" else 1e-9
        for _ in range(_CHECKED_STEPS):
            with kernel_threads():
                loss, flips, drift = moving.step()
            expected = baseline.step()
            close(loss, expected[0], "losses", tolerance)
            close(drift, expected[2], "drifts", tolerance)
            if not abs(flips - expected[1]) <= 1e-4 + tolerance * expected[1]:
                raise AssertionError(f"pattern changes differ: {flips} and {expected[1]}")
            if TORCH in sides:
                close(loss, sides[TORCH].call(), "losses of torch", tolerance)

    return Work(sides, check, measures(engine, size))


def measures(engine: str, size: Size) -> tuple[Measure, ...]:
    """Work of a plain step, and of every step that has the same bound."""
    n, d, m = size.n, size.d, size.m
    itemsize = np.dtype(size.dtype).itemsize
    if engine == "dual":
        return (
            table_reads(n, n, m, itemsize),
            Measure(3.0 * n * m * itemsize, "3 n m entries: D read and written, Z(0) read", "memory"),
        )
    limit = "sgemm" if size.dtype == "float32" else "dgemm"
    return (
        table_reads(n, d, m, itemsize),
        Measure(2.0 * n * d * m, "2 n d m flops of the forward product", limit),
    )


_AGAINST = {
    NUMPY: "a step with the same metrics (loss, flips, drift)",
    PRODUCT: "one forward product W X^T, which the dual step does not need",
    TORCH: "autograd and SGD, the loss only",
}
_PLAIN = Size(1000, 8000, 1000)
_FLAT = Size(4000, 8000, 500)

DUAL = Case(
    "training step, dual",
    "one step on the pre-activations, with loss, flips and drift",
    _AGAINST,
    lambda size: _training("dual", size),
    Size(200, 2000, 200),
    (_PLAIN, Size(1000, 8000, 1000, "float64")),
    {(_PLAIN, NUMPY): 8.0, (_PLAIN, TORCH): 5.0, (_PLAIN, PRODUCT): 1 / 0.38},
    tuple(Size(n, 8192, 1000) for n in GROWTH_IN_N),
    tuple(Size(1000, m, 1000) for m in GROWTH_IN_M),
)

PRIMAL = Case(
    "training step, primal",
    "one step on the weights, with loss, flips and drift",
    _AGAINST,
    lambda size: _training("primal", size),
    Size(200, 2000, 100),
    (_FLAT, _PLAIN, Size(4000, 8000, 500, "float64")),
    {(_FLAT, NUMPY): 2.0},
    tuple(Size(n, 8192, 500) for n in GROWTH_IN_N),
    tuple(Size(1000, m, 500) for m in GROWTH_IN_M),
)
