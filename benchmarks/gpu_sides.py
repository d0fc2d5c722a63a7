"""The other sides on the same GPU: the same formulas in torch and CuPy, whose arrays speak the same operators."""

import contextlib
import importlib
import importlib.util
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastntk.compilation.jit_cuda import simulated


class Library:
    """torch or CuPy, where it is installed; under the simulator torch computes on the host."""

    def __init__(self, name: str) -> None:
        self.name, self.module = name, importlib.import_module(name)

    @classmethod
    def installed(cls) -> Iterator["Library"]:
        for name in ("torch",) if simulated() else ("torch", "cupy"):
            if importlib.util.find_spec(name) is not None:
                with contextlib.suppress(ImportError):  # of a library that it needs
                    yield cls(name)

    @property
    def version(self) -> str:
        return str(self.module.__version__)

    def array(self, values: np.ndarray) -> Any:
        if self.name == "cupy":
            return self.module.asarray(values)
        return self.module.tensor(values, device="cpu" if simulated() else "cuda")

    def ones(self, masks: np.ndarray, dtype: str) -> Any:
        """Booleans as numbers, made of them on the device."""
        found = self.array(masks)
        return found.to(getattr(self.module, dtype)) if self.name == "torch" else found.astype(dtype)

    def host(self, values: Any) -> np.ndarray:
        return np.asarray(values.get() if self.name == "cupy" else values.cpu())

    def allow_tf32(self, allowed: bool) -> None:
        """CuPy never uses tf32 unless its environment says so."""
        if self.name == "torch":
            self.module.backends.cuda.matmul.allow_tf32 = allowed


def counts(library: Library, masks: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Exact ways to count: float32 (zeros and ones are exact in tf32 too, sums below 2^24), and int8 in torch."""
    M = library.ones(masks, "float32")

    def product() -> Any:
        return M @ M.T

    ways = {f"{library.name} float32": product}
    if library.name == "torch":

        def with_tf32() -> Any:
            library.allow_tf32(True)
            try:
                return M @ M.T
            finally:
                library.allow_tf32(False)

        small = library.ones(masks, "int8")
        ways |= {"torch tf32": with_tf32, "torch int8": lambda: library.module._int_mm(small, small.T)}
    return ways


class Step:
    """Gradient descent with loss, flips and drift, by forward product and gradient."""

    def __init__(self, library: Library, X: Any, y: Any, W: Any, a: Any, lr: float, compiled: bool) -> None:
        self.X, self.y, self.W, self.a = (library.array(np.asarray(v, np.float32)) for v in (X, y, W, a))
        self.W0, self.M0, self.lr = self.W + 0, self.X @ self.W.T >= 0, lr
        self._tf32, self._library = compiled, library
        self._moved = library.module.compile(self._move) if compiled else self._move

    def _move(self, W: Any) -> tuple[Any, ...]:
        root = math.sqrt(len(self.a))
        Z = self.X @ W.T
        M = Z >= 0
        u = Z.clip(0, None) @ self.a / root
        e = u - self.y
        flips = (M != self.M0).sum()
        drift = ((W - self.W0) ** 2).sum(1).max() ** 0.5
        gradient = (M * e[:, None]).T @ self.X
        return W - (self.lr / root) * self.a[:, None] * gradient, 0.5 * (e @ e), flips, drift, u

    def __call__(self) -> Any:
        """One step; the outputs before it."""
        self._library.allow_tf32(self._tf32)
        self.W, *_, u = self._moved(self.W)
        self._library.allow_tf32(False)
        return u


def limit(library: Library, X: np.ndarray) -> Callable[[], Any]:
    """H_inf of unit rows, by the formula as it is written."""
    rows = library.array(X)

    def compute() -> Any:
        products = rows @ rows.T
        angles = library.module.arccos(products.clip(-1, 1))
        return products * (math.pi - angles) / (2 * math.pi)

    return compute


def masked_sums(library: Library, masks: np.ndarray, V: np.ndarray) -> Callable[[], Any]:
    """``M^T V`` on an expanded mask."""
    M, dense = library.ones(masks, "float32"), library.array(V)
    return lambda: M.T @ dense


def flips(library: Library, before: np.ndarray, after: np.ndarray) -> Callable[[], Any]:
    """Differing entries of two boolean masks."""
    A, B = library.array(before), library.array(after)
    return lambda: (A != B).sum()


def activation_masks(
    library: Library, X: np.ndarray, W: np.ndarray
) -> tuple[Callable[[], Any], Callable[[Any], np.ndarray]]:
    """A boolean mask, and what counts the active neurons of each sample."""
    rows, weights = library.array(X), library.array(W)
    return lambda: rows @ weights.T >= 0, lambda M: library.host(M.sum(1))


def gram(library: Library, X: np.ndarray, W: np.ndarray) -> Callable[[], Any]:
    """Finite-width Gram matrix by products of expanded masks."""
    rows, weights = library.array(X), library.array(W)

    def compute() -> Any:
        M = (rows @ weights.T >= 0) * library.array(np.float32(1.0))
        return (rows @ rows.T) * (M @ M.T) / len(weights)

    return compute
