"""The data of a run, checked, and what depends on them alone: the runs of a sweep share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base import checks
from fastntk.base.arrays import host_array
from fastntk.device.arrays import library_of, on_host, on_one_gpu
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled import compute
from fastntk.results import provenance
from fastntk.spectra import lambda_min
from fastntk.spectra.extremes import both_ends

__all__ = ["LayerLimits", "LimitKernel", "Samples"]

_ITERATIONS = 8
_ROOM = 1e12  # of H in float64: inner products times counts of neurons, and their sums over the samples


@dataclass(frozen=True, eq=False)
class LimitKernel:
    """What H at the start tends to with the width, in host memory."""

    H: npt.NDArray[np.float64]

    @cached_property
    def ends(self) -> dict[str, float]:
        """Its smallest and its largest eigenvalue."""
        return dict(zip(("lambda_0", "lambda_max"), both_ends(self.H), strict=True))


@dataclass(frozen=True, eq=False)
class LayerLimits:
    """What the G^(h) at the start tend to with the widths, by the number of the layer, in host memory."""

    K: dict[int, npt.NDArray[np.float64]]

    @cached_property
    def ends(self) -> dict[str, Any]:
        """Smallest and largest eigenvalue of their sum, and the smallest one of each."""
        lowest, highest = both_ends(sum(self.K.values()))
        return {
            "lambda_0": lowest,
            "lambda_max": highest,
            "layers": list(self.K),
            "lambda_0_of_layers": [float(lambda_min(K)) for K in self.K.values()],
        }


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples and labels.

    Attributes
    ----------
    X : (n, d) float32 or float64
    y : (n,) float64
        Both in host memory.
    given : tuple
        Both as the run gives them back: on a GPU where they were there.
    library : str or None
        What made the arrays on a GPU.
    """

    X: np.ndarray
    y: npt.NDArray[np.float64]
    given: tuple[Any, Any]
    library: str | None
    _described: tuple[np.ndarray, np.ndarray]
    _limits: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, X: npt.ArrayLike, y: npt.ArrayLike) -> Samples:
        """The checked data; TypeError if one lives on a GPU and the other does not."""
        library = library_of(X) if on_one_gpu(X=X, y=y) else None
        raw = host_array(on_host(X), "X", 2), host_array(on_host(y), "y", 1)
        samples = checks.matrix(raw[0], "X")
        labels = checks.vector(raw[1], "y", len(samples), "X", np.float64)
        return cls(samples, labels, (samples, labels) if library is None else (X, y), library, raw)

    @cached_property
    def description(self) -> dict[str, Any]:
        """Shape, dtype and hash of the data as they were given."""
        return provenance.describe_data(*self._described)

    def require_range(self, dtype: np.dtype) -> None:
        """ValueError if labels, or the squares that the engines work with, overflow in the precision of the network."""
        checks.representable(self.y, "y", dtype)
        with np.errstate(over="ignore"):
            squares = np.einsum("ij,ij->i", self.X, self.X, dtype=np.float64)
        checks.representable(squares, "the squared norms of the rows of X", dtype)
        with np.errstate(over="ignore"):
            checks.representable(
                _ROOM * squares, f"{_ROOM:.0g} times the squared norms of the rows of X", float
            )

    def overflow(self, what: str, dtype: np.dtype) -> ValueError:
        """The error for data that are too large for what becomes of them in that precision."""
        sizes = [float(np.abs(values).max()) for values in (self.X, self.y)]
        single = " or use dtype='float64'," if dtype == np.float32 else ""
        return ValueError(
            f"X and y must keep {what} within the range of {dtype.name}, got an overflow: scale them down,{single} "
            f"their largest entries are {sizes[0]:.3g} and {sizes[1]:.3g}"
        )

    @cached_property
    def stretch(self) -> float:
        """The largest eigenvalue of ``X X^T``, to some ten percent from below: iterated from one direction."""
        v = np.random.default_rng(0).standard_normal((self.X.shape[1],))
        size = float(np.linalg.norm(v))
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(_ITERATIONS):
                v = self.X.T @ (self.X @ (v / max(size, np.finfo(np.float64).tiny)))
                size = float(np.linalg.norm(v))
        return size

    def limit(self, layers: str, a: np.ndarray) -> LimitKernel:
        """The limit of the kernel of these layers; the first layer's part is an average with weights ``a_r^2``.

        The last one is cached, so that networks of several widths compute it once.
        """
        scale = 1.0 if layers == "second" else float(np.square(a, dtype=np.float64).mean())
        found: LimitKernel = self._cached((layers, scale), lambda: LimitKernel(self._limit(layers, scale)))
        return found

    def layer_limits(self, layers: tuple[int, ...], depth: int, scale: float, square: float) -> LayerLimits:
        """The same for these layers of a deep network, ``square`` the mean of ``a_r^2`` at the start."""

        def compute_all() -> LayerLimits:
            found = {}
            for layer in layers:
                found[layer] = np.asarray(
                    compute(limit_source(self.X, layers=layer, depth=depth, scale=scale))
                )
                if layer <= depth:
                    found[layer] *= square
            return LayerLimits(found)

        found: LayerLimits = self._cached((layers, depth, scale, square), compute_all)
        return found

    def _cached(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """The last limit that was made, if it has this key."""
        found = self._limits.get(key)
        if found is None:
            found = make()
            self._limits.clear()
            self._limits[key] = found
        return found

    def _limit(self, layers: str, scale: float) -> npt.NDArray[np.float64]:
        if layers == "second":
            return np.asarray(compute(limit_source(self.X, layers="second")))
        H = np.asarray(compute(limit_source(self.X)))
        H *= scale
        if layers == "both":
            H += compute(limit_source(self.X, layers="second"))
        return H
