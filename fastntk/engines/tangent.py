"""The tangent kernel H(k) of the trained layers, from the state of an engine."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastntk.matrices.finite import GramOfPatterns, gram_source
from fastntk.matrices.tiled import compute
from fastntk.model.network import TwoLayerReLU


class State(Protocol):
    """What H depends on in the state of an engine."""

    @property
    def masks(self) -> Any:
        """The activation pattern."""

    @property
    def initial_masks(self) -> Any:
        """The same at the start."""

    @property
    def a(self) -> np.ndarray:
        """The weights of the second layer."""

    def write_weights(self, out: np.ndarray) -> None:
        """Write those of the first."""


class TangentKernel:
    """H of a run: from the patterns where only the first layer moves, else from the weights."""

    def __init__(self, X: np.ndarray, net: TwoLayerReLU, layers: str) -> None:
        self._X, self._net, self._layers = X, net, layers
        self._patterns: GramOfPatterns | None = None
        self._weights: np.ndarray | None = None
        self._constant: np.ndarray | None = None

    def _of_pattern(self, masks: Any, out: np.ndarray | None = None) -> np.ndarray:
        """H of the first layer; what it takes beside a pattern is made when first wanted: most runs never want it."""
        if self._patterns is None:
            self._patterns = GramOfPatterns(self._X, self._net.a)
        return self._patterns(masks, out=out)

    def __call__(self, engine: State, out: np.ndarray | None = None) -> npt.NDArray[np.float64]:
        """H at the present state, in ``out`` if given and needed; of the second layer alone it never changes."""
        if self._layers == "first":
            return self._of_pattern(engine.masks, out)
        if self._constant is not None:
            return self._constant
        H = self._of_weights(engine, out)
        if self._layers == "second":
            self._constant = H
        return H

    def _of_weights(self, engine: State, out: np.ndarray | None) -> np.ndarray:
        """H of the weights of a state, where both layers tell."""
        if self._weights is None:
            self._weights = np.empty_like(self._net.W)
        engine.write_weights(self._weights)
        return np.asarray(compute(gram_source(self._X, self._weights, engine.a, layers=self._layers), out))

    def initial(self, engine: State) -> npt.NDArray[np.float64]:
        """H at the start."""
        if self._layers == "first":
            return self._of_pattern(engine.initial_masks)
        return np.asarray(compute(gram_source(self._X, self._net.W, self._net.a, layers=self._layers)))
