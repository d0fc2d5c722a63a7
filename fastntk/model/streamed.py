"""Networks whose weights are made when they are asked for: drawn from a seed, and moved by multiples of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.memory import require_memory
from fastntk.compilation.threads import one_blas_thread
from fastntk.device.arrays import on_host, require_on_host
from fastntk.model.draws import Draws
from fastntk.model.network import TwoLayerReLU
from fastntk.model.patterns import forward_pass

__all__ = ["Drawn", "Moved", "StreamedNetwork", "network_arrays", "network_from"]

_BLOCK = 4096  # neurons at a time
_PRODUCT = 1024  # neurons of a product, always the same ones: sums of BLAS depend on how many rows there are


class Rows(Protocol):
    """Where weights come from."""

    def __call__(self, first: int, last: int) -> np.ndarray:
        """These rows of W, a new array."""


class StreamedNetwork(TwoLayerReLU):
    """A network whose weights need not fit in memory; all that `TwoLayerReLU` can do, a block of neurons at a time.

    Parameters
    ----------
    rows : callable
        ``rows(first, last)`` makes these rows of W, in the precision of ``a``, always the same.
    a : ndarray, shape (m,)
    d : int

    Notes
    -----
    `W` makes all weights and keeps them from then on, as any network does; MemoryLimitError where they do not fit.

    Examples
    --------
    >>> import fastntk
    >>> X, y = fastntk.datasets.sphere(20, 10, seed=0)
    >>> net = fastntk.train(X, y, width=500, steps=5, engine="path").net
    >>> type(net).__name__, net.weights(100, 102).shape
    ('StreamedNetwork', (2, 10))
    """

    def __init__(self, rows: Rows, a: np.ndarray, d: int) -> None:
        self.a = a
        self.rows, self._d = rows, d
        self._held: np.ndarray | None = None

    @property
    def W(self) -> np.ndarray:
        """All weights, (m, d)."""
        if self._held is None:
            size = self.width * self.d * self.a.itemsize
            require_memory(size, f"the weights of a network of width {self.width} on {self.d} inputs")
            held = np.empty((self.width, self.d), self.a.dtype)
            for first, last in self._blocks():
                held[first:last] = self.rows(first, last)
            self._held = held
        return self._held

    @property
    def held(self) -> bool:
        """Whether all weights are in memory."""
        return self._held is not None

    @property
    def d(self) -> int:
        """Dimension of the samples."""
        return self._d

    def weights(self, first: int, last: int) -> np.ndarray:
        """Rows ``first ... last - 1`` of W; ValueError beyond the width."""
        first, last = checks.neuron_range(first, last, self.width)
        return self.rows(first, last) if self._held is None else self._held[first:last]

    def __call__(self, X: npt.ArrayLike) -> Any:
        """Outputs ``u_i = f(x_i)``, float64 of shape (n,), relative error near 1e-6 if the weights are float32."""
        require_on_host(X=X)
        samples = checks.matrix(X, "X")
        self.require_inputs(samples, "X")
        checks.representable(samples, "X", self.a.dtype)
        sums = np.zeros(len(samples))
        for first, last in self._blocks():
            u = forward_pass(samples, self.weights(first, last), self.a[first:last])[1]
            sums += u * np.sqrt(last - first)
        return sums / np.sqrt(self.width)

    def _blocks(self) -> list[tuple[int, int]]:
        return [(first, min(first + _BLOCK, self.width)) for first in range(0, self.width, _BLOCK)]


@dataclass(frozen=True)
class Drawn:
    """The rows of ``TwoLayerReLU.init`` with these draws."""

    draws: Draws
    d: int
    dtype: np.dtype

    def __call__(self, first: int, last: int) -> np.ndarray:
        """These rows, drawn anew."""
        out = np.empty((last - first, self.d), self.dtype)
        self.draws.weights(first, out)
        return out

    def network(self, width: int) -> StreamedNetwork:
        """The network with the first rows."""
        return StreamedNetwork(self, self.draws.signs(0, width, self.dtype), self.d)


@dataclass(frozen=True)
class Moved:
    """``w_r = w_r(0) - (a_r / sqrt(m)) sum_i (M_ir active_i + changed_ir) x_i``.

    Attributes
    ----------
    start : TwoLayerReLU
    X : ndarray, shape (n, d)
        In the precision of the network.
    pattern : ndarray of uint8, shape (m, at least n / 8)
        M, bits of the samples of each neuron.
    active : ndarray of float64, shape (n,)
    keys : ndarray of int64
        ``n r + i`` of the entries where ``changed`` is not zero, ascending.
    values : ndarray of float64
        ``changed`` there.
    """

    start: TwoLayerReLU
    X: np.ndarray
    pattern: np.ndarray
    active: np.ndarray
    keys: np.ndarray
    values: np.ndarray

    def __call__(self, first: int, last: int) -> np.ndarray:
        """These rows, the same numbers whatever rows are asked for with them."""
        m = self.start.width
        out = np.empty((last - first, self.X.shape[1]), self.X.dtype)
        for begin in range(first // _PRODUCT * _PRODUCT, last, _PRODUCT):
            end = min(begin + _PRODUCT, m)
            with one_blas_thread():
                change = self._coefficients(begin, end).astype(self.X.dtype) @ self.X
            change *= (self.start.a[begin:end, None] / np.sqrt(m)).astype(self.X.dtype)
            own = slice(max(begin, first), min(end, last))
            out[own.start - first : own.stop - first] = (
                self.start.weights(own.start, own.stop) - change[own.start - begin : own.stop - begin]
            )
        return out

    def _coefficients(self, first: int, last: int) -> np.ndarray:
        n = self.active.size
        changed = np.zeros((last - first) * n)
        some = slice(*np.searchsorted(self.keys, (first * n, last * n)))
        changed[self.keys[some] - first * n] = self.values[some]
        bits = np.unpackbits(self.pattern[first:last], axis=1, bitorder="little", count=n)
        return bits * self.active + changed.reshape(-1, n)

    def network(self) -> StreamedNetwork:
        """The network that has moved."""
        return StreamedNetwork(self, self.start.a, self.X.shape[1])

    @property
    def repeatable(self) -> bool:
        """Whether the start can be drawn again."""
        start = self.start
        return isinstance(start, StreamedNetwork) and not start.held and isinstance(start.rows, Drawn)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that makes the rows again, if they are repeatable, under names for a file."""
        assert isinstance(self.start, StreamedNetwork)
        assert isinstance(self.start.rows, Drawn)
        draws, octets = self.start.rows.draws, -(-self.active.size // 8)
        return {
            "start/width": np.array(self.start.width), "start/seed": np.array(str(draws.seed)),
            "start/kappa": np.array(draws.kappa), "start/paired": np.array(draws.paired),
            "X": self.X, "pattern": self.pattern[:, :octets], "active": self.active,
            "keys": self.keys, "values": self.values,
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Moved:
        """Inverse of `arrays`."""
        parts = {name: array for name, array in arrays.items() if not name.startswith("start/")}
        draws = Draws(
            int(str(arrays["start/seed"])), float(arrays["start/kappa"]), bool(arrays["start/paired"])
        )
        drawn = Drawn(draws, parts["X"].shape[1], parts["X"].dtype)
        return cls(drawn.network(int(arrays["start/width"])), **parts)


def network_arrays(net: TwoLayerReLU) -> dict[str, np.ndarray]:
    """The arrays of a network in a file: what its weights can be made from again, if that is less, or the weights."""
    if (
        isinstance(net, StreamedNetwork)
        and not net.held
        and isinstance(net.rows, Moved)
        and net.rows.repeatable
    ):
        found = net.rows.arrays()
        if sum(array.nbytes for array in found.values()) < net.width * net.d * net.a.itemsize:
            return {f"network/{name}": array for name, array in found.items()}
    return {"W": on_host(net.W), "a": on_host(net.a)}


def network_from(arrays: Mapping[str, np.ndarray]) -> TwoLayerReLU:
    """Inverse of `network_arrays`; other arrays do not matter."""
    if "W" in arrays:
        return TwoLayerReLU(arrays["W"], arrays["a"])
    own = {name.removeprefix("network/"): array for name, array in arrays.items() if "network/" in name}
    return Moved.from_arrays(own).network()
