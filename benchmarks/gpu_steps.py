"""A training step on a GPU with loss, flips and drift, of both engines, and with all that data of the host pay."""

from typing import Any

import numpy as np

import fastntk
from benchmarks import gpu_sides
from benchmarks.case import OURS
from benchmarks.gpu_cases import TRANSFERS, GpuWork, Way
from benchmarks.gpu_sides import Library
from fastntk.cuda.engines.dual import CudaDualEngine
from fastntk.cuda.engines.interface import CudaEngine
from fastntk.cuda.engines.primal import CudaPrimalEngine
from fastntk.device.arrays import empty, upload, zeros

_LR = 1e-3


class _Training:
    """An engine and its log, as `fastntk.cuda.engines.descent` uses them."""

    def __init__(
        self, kind: type[CudaEngine], X: np.ndarray, y: np.ndarray, net: fastntk.TwoLayerReLU
    ) -> None:
        self._engine, self._labels, self._loss = kind(X, net), upload(y), fastntk.losses.Squared()
        self._log, self._flips = empty(2, np.float64), zeros(1, np.int64)
        self.start = self._engine.u

    def step(self) -> None:
        self._engine.evaluate(self._loss, self._labels, self._log, 0)
        self._engine.log_flips(self._flips, 0)
        self._engine.log_drift(self._log, 1)
        self._engine.advance(_LR)

    def read(self) -> None:
        self._log.copy_to_host()
        self._flips.copy_to_host()


def _work(kind: type[CudaEngine], n: int, d: int, m: int, operations: float, formula: str) -> GpuWork:
    """Outputs are compared at the start; with transfers an engine is made of the host's arrays, moved and read."""
    work = GpuWork({"float32": operations}, formula, bound=1e-4)
    X, y = fastntk.datasets.sphere(n, d, seed=0)
    net = fastntk.TwoLayerReLU.init(d, m, seed=0)
    training = _Training(kind, X, y, net)

    def from_the_host() -> Any:
        fresh = _Training(kind, X, y, net)
        fresh.step()
        fresh.read()
        return fresh.start

    work.sides = {OURS: (training.step, lambda _: training.start), TRANSFERS: (from_the_host, np.asarray)}

    def beside(library: Library) -> dict[str, Way]:
        ways = {}
        for compiled in (False, True) if library.name == "torch" else (False,):
            name = f"{library.name} {'compiled, tf32' if compiled else 'float32'}"
            ways[name] = gpu_sides.Step(library, X, y, net.W, net.a, _LR, compiled), library.host
        return ways

    work.beside(beside)
    return work


def dual(n: int, d: int, m: int) -> GpuWork:
    """The pre-activations move."""
    return _work(CudaDualEngine, n, d, m, 2.0 * n * n * m, "2 n^2 m flops of the masked sums")


def primal(n: int, d: int, m: int) -> GpuWork:
    """The weights move."""
    formula = "4 n d m flops of the masked sums and the product"
    return _work(CudaPrimalEngine, n, d, m, 4.0 * n * d * m, formula)
