"""The tangent kernel H(k) of a run on a GPU: computed there, from a state that stays there, and copied to the host."""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fastntk.cuda.matrices.finite import Network, gram
from fastntk.device.arrays import upload
from fastntk.device.dispatch import DeviceArray
from fastntk.device.driver import guard
from fastntk.device.masks import DevicePackedMasks
from fastntk.engines.tangent import State, TangentKernel
from fastntk.matrices.passes import terms_of

_FLOAT64 = np.dtype(np.float64)


class GpuState(State, Protocol):
    """The same of an engine on the GPU."""

    def weights_on_gpu(self) -> DeviceArray:
        """The weights of the first layer."""


class GpuTangentKernel(TangentKernel):
    """As its base, from the state of an engine on the GPU."""

    @functools.cached_property
    def _points(self) -> DeviceArray:
        return upload(self._X)

    def _of_pattern(self, masks: DevicePackedMasks, out: np.ndarray | None = None) -> npt.NDArray[np.float64]:
        return self._gram((masks, masks), self._net.a, "first", out)

    def _of_weights(  # type: ignore[override]
        self, engine: GpuState, out: np.ndarray | None
    ) -> npt.NDArray[np.float64]:
        return self._gram(engine.weights_on_gpu(), engine.a, self._layers, out)

    def _gram(
        self, network: Network, a: np.ndarray, layers: str, out: np.ndarray | None
    ) -> npt.NDArray[np.float64]:
        with guard():
            points = self._points
            H = gram(points, points, network, terms_of(layers, a), _FLOAT64, None)
            return H.copy_to_host(np.empty(H.shape) if out is None else out)
