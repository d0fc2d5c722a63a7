"""The torch side of the comparisons; torch is optional and imported only where it is installed and wanted."""

import importlib
import importlib.util
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

_SWITCH = "FASTNTK_BENCH_TORCH"  # "0" leaves torch out; an environment variable reaches subprocesses too


def available() -> bool:
    """Whether torch is installed and not switched off."""
    return os.environ.get(_SWITCH, "1") != "0" and importlib.util.find_spec("torch") is not None


def leave_out() -> None:
    """Measure as if torch were not installed."""
    os.environ[_SWITCH] = "0"


def version() -> str | None:
    """Version of torch, None without it."""
    return str(_torch().__version__) if available() else None


def set_threads(threads: int) -> None:
    """As many threads as every other side has."""
    if available():
        _torch().set_num_threads(threads)


def _torch() -> Any:
    return importlib.import_module("torch")


def product(A: np.ndarray, B: np.ndarray) -> Callable[[], Any]:
    """``A @ B`` on the CPU; transposed views are passed as such."""
    torch = _torch()
    left, right = torch.from_numpy(A), torch.from_numpy(B)
    return lambda: left @ right


class LossOnlyTraining:
    """Gradient descent by autograd, with the loss and nothing else logged."""

    def __init__(self, X: np.ndarray, y: np.ndarray, W: np.ndarray, a: np.ndarray, lr: float) -> None:
        torch = _torch()
        self.X, self.y, self.a = (torch.from_numpy(np.array(v, dtype=W.dtype)) for v in (X, y, a))
        self.W = torch.from_numpy(W.copy()).requires_grad_()
        self.lr, self.root = lr, math.sqrt(len(a))
        self.optimizer = torch.optim.SGD([self.W], lr=lr)

    def loss(self) -> Any:
        u = (self.X @ self.W.T).relu() @ self.a / self.root
        return 0.5 * (u - self.y).square().sum()

    def gradient(self) -> np.ndarray:
        """Gradient of the loss at the present weights."""
        self.optimizer.zero_grad()
        self.loss().backward()
        return self.W.grad.numpy()

    def step(self) -> float:
        """One step; returns the loss before it."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


class DeepLossOnlyTraining:
    """The same of several hidden layers."""

    def __init__(self, X: np.ndarray, y: np.ndarray, net: Any, lr: float) -> None:
        torch = _torch()
        self.X, self.y, self.a = (torch.from_numpy(np.array(v, dtype=net.dtype)) for v in (X, y, net.a))
        self.W = [torch.from_numpy(W.copy()).requires_grad_() for W in net.W]
        self.factors = [net.scale / math.sqrt(len(W)) for W in net.W]
        self.optimizer = torch.optim.SGD(self.W, lr=lr)

    def step(self) -> float:
        """One step; returns the loss before it."""
        self.optimizer.zero_grad()
        x = self.X
        for W, factor in zip(self.W, self.factors, strict=True):
            x = factor * (x @ W.T).relu()
        loss = 0.5 * (x @ self.a - self.y).square().sum()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())
