"""Cases of networks with three hidden layers: a step with its metrics, and the Gram matrices of all layers."""

from typing import Any

import numpy as np

from benchmarks import with_torch
from benchmarks.case import NUMPY, OURS, PRODUCT, TORCH, Case, Measure, Side, Size, Work
from benchmarks.inputs import close, data
from fastntk import DeepReLU, reference
from fastntk.compilation.threads import kernel_threads
from fastntk.engines.deep import DeepEngine
from fastntk.matrices.layers import LayerGrams
from fastntk.model.draws import Draws
from fastntk.model.initial import DrawnLayer

DEPTH, SCALE, LR = 3, 2**0.5, 1e-3


def _engine(size: Size) -> tuple[DeepEngine, np.ndarray]:
    X, y = data(size)
    net = DeepReLU.init(size.d, size.m, DEPTH, dtype=size.dtype, scale=SCALE)
    draws = Draws(0)
    initial = [DrawnLayer(draws, h, W.shape[1], W.dtype) for h, W in enumerate(net.W, 1)]
    with kernel_threads():
        return DeepEngine(X, net, initial, range(1, DEPTH + 1)), y.astype(np.float64)


class NumpyDeepTraining:
    """A plain step that knows the loss alone: forward, backward, gradients."""

    def __init__(self, X: np.ndarray, y: np.ndarray, net: DeepReLU) -> None:
        self.X, self.y = X.astype(net.dtype), y.astype(net.dtype)
        self.W, self.a = [W.copy() for W in net.W], net.a

    def step(self) -> float:
        """Loss before the step."""
        Z, x = reference.deep_forward(self.X, self.W, SCALE)
        e = x[-1] @ self.a - self.y
        for W, delta, below in zip(self.W, reference.deep_deltas(Z, self.W, self.a, SCALE), x, strict=False):
            W -= LR * ((delta * e[:, None]).T @ below)
        return 0.5 * float(e @ e)


class BareProducts:
    """The products of a step, of each layer forward, backward and gradient, and the symmetric ones of its kernels."""

    def __init__(self, size: Size) -> None:
        rng = np.random.default_rng(0)
        columns = (size.d, *(size.m,) * DEPTH)
        self.x = [rng.standard_normal((size.n, m)).astype(size.dtype) for m in columns]
        self.W = [np.ones((size.m, k), size.dtype) for k in columns[:-1]]
        self.out, self.gradients = np.empty_like(self.x[-1]), [np.empty_like(W) for W in self.W[:2]]

    def step(self) -> None:
        """``3 H - 1`` products."""
        for h in range(DEPTH):
            np.dot(self.x[h], self.W[h].T, self.out)
            np.dot(self.x[-1].T, self.x[h], self.gradients[min(h, 1)])
            if h:
                np.dot(self.x[-1], self.W[h], self.out)

    def kernels(self) -> None:
        """``2 H`` products of a matrix and its transpose, of which BLAS computes one triangle."""
        for h in range(DEPTH):
            self.x[h] @ self.x[h].T
            self.x[-1] @ self.x[-1].T


def _step(size: Size) -> Work:
    engine, y = _engine(size)
    baseline = NumpyDeepTraining(engine.X, y, engine.net)
    sides: dict[str, Side] = {PRODUCT: Side(BareProducts(size).step), NUMPY: Side(baseline.step)}
    if with_torch.available():
        sides[TORCH] = Side(with_torch.DeepLossOnlyTraining(engine.X, y, engine.net, LR).step)

    def step() -> float:
        e = engine.u - y
        engine.flips()
        engine.drift()
        engine.step(e, LR)
        return 0.5 * float(e @ e)

    def check() -> None:
        for _ in range(3):
            with kernel_threads():
                loss = step()
            for side in sides.values():
                if (expected := side.call()) is not None:
                    close(loss, expected, "losses", 1e-3)

    n, m = size.n, size.m
    flops = 2.0 * n * m * (2 * size.d + 3 * (DEPTH - 1) * m)
    measure = Measure(flops, "6 n m^2 flops a layer, 4 n d m of the first", "sgemm")
    return Work({OURS: Side(step, kernel_threads), **sides}, check, (measure,))


def _kernels(size: Size) -> Work:
    engine, _ = _engine(size)
    kernels = LayerGrams(engine.X, engine.dtype)
    with kernel_threads():
        engine.deltas()

    def call() -> list[np.ndarray]:
        found: list[np.ndarray] = []
        for _, G in kernels(
            range(1, DEPTH + 1), engine.x, engine.deltas(), engine.masks[-1], engine.net.a, SCALE
        ):
            found.append(G[:4].copy())
        return found

    def check() -> None:
        with kernel_threads():
            found = call()
        rows: Any = reference.deep_grams(engine.X, engine.net.W, engine.net.a, SCALE)
        for G, wanted in zip(found, rows, strict=False):
            close(G, wanted[:4], "Gram matrices", 1e-4)

    sides = {OURS: Side(call, kernel_threads), PRODUCT: Side(BareProducts(size).kernels)}
    n, m = size.n, size.m
    flops = 1.0 * n * n * (size.d + (2 * DEPTH - 2) * m)
    return Work(
        sides, check, (Measure(flops, "n^2 m flops of each symmetric product but the last", "sgemm"),)
    )


_SIZE = Size(1000, 4096, 1000)

STEP = Case(
    "training step, depth 3",
    "one step on the weights, with loss, flips and drift of every layer",
    {
        PRODUCT: "its matrix products by BLAS, nothing else",
        NUMPY: "a step in NumPy, the loss only",
        TORCH: "autograd and SGD, the loss only",
    },
    _step,
    Size(200, 300, 100),
    (_SIZE,),
    {(_SIZE, PRODUCT): 1 / 1.15, (_SIZE, TORCH): 1.2},
)

KERNELS = Case(
    "Gram matrices, depth 3",
    "those of all hidden layers from activations and derivatives",
    {PRODUCT: "two symmetric products a layer by BLAS (syrk), nothing else"},
    _kernels,
    Size(200, 300, 100),
    (_SIZE,),
    {(_SIZE, PRODUCT): 1 / 1.2},
)
