"""What `fastntk.device.dispatch` asks of the GPU: checked arrays in, arrays of the CUDA module out."""

import numpy as np

from fastntk.cuda import copies, networks, rows
from fastntk.cuda.engines.dual import CudaDualEngine
from fastntk.cuda.engines.primal import CudaPrimalEngine
from fastntk.cuda.linearised import LinearisedThere
from fastntk.cuda.matrices import finite, limit, patterns
from fastntk.device.arrays import DeviceArray
from fastntk.device.dispatch import Backend
from fastntk.device.masks import DevicePackedMasks
from fastntk.engines.interface import Engine
from fastntk.kernels.cpu.limit import Points
from fastntk.matrices.passes import Terms
from fastntk.model.network import TwoLayerReLU


class CudaBackend:
    """The methods are described in `fastntk.device.dispatch`."""

    engines: tuple[type[Engine], type[Engine]] = CudaDualEngine, CudaPrimalEngine

    def host_copy(self, values: DeviceArray) -> np.ndarray:
        return copies.host_copy(values)

    def converted(self, values: DeviceArray, dtype: np.dtype) -> tuple[DeviceArray, bool]:
        return copies.converted(values, dtype)

    def activation_masks(self, X: DeviceArray, W: DeviceArray, library: str) -> DevicePackedMasks:
        return patterns.activation_masks(X, W, library)

    def packed(self, dense: DeviceArray, library: str) -> DevicePackedMasks:
        return patterns.packed(dense, library)

    def to_dense(self, masks: DevicePackedMasks) -> DeviceArray:
        return patterns.to_dense(masks)

    def coactivation_counts(self, masks: DevicePackedMasks) -> DeviceArray:
        return patterns.coactivation_counts(masks)

    def flip_count(self, before: DevicePackedMasks, after: DevicePackedMasks) -> int:
        return patterns.flip_count(before, after)

    def flip_marginals(
        self, before: DevicePackedMasks, after: DevicePackedMasks
    ) -> tuple[DeviceArray, DeviceArray]:
        return patterns.flip_marginals(before, after)

    def outputs(self, X: DeviceArray, W: DeviceArray, a: DeviceArray) -> DeviceArray:
        return networks.forward_pass(X, W, a)[1]

    def loss_gradient(self, X: DeviceArray, y: DeviceArray, W: DeviceArray, a: DeviceArray) -> DeviceArray:
        return networks.loss_gradient(X, y, W, a)

    def row_lengths(self, X: DeviceArray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return rows.row_lengths(X, direction)

    def gram(
        self,
        points: DeviceArray,
        others: DeviceArray,
        network: DeviceArray | tuple[DevicePackedMasks, DevicePackedMasks],
        terms: Terms,
        dtype: np.dtype,
        out: DeviceArray | None,
    ) -> DeviceArray:
        return finite.gram(points, others, network, terms, dtype, out)

    def limit_gram(
        self,
        points: Points,
        others: Points,
        layers: int,
        depth: int,
        dtype: np.dtype,
        out: DeviceArray | None,
    ) -> DeviceArray:
        return limit.limit_gram(points, others, layers, depth, dtype, out)

    def limit_profile(self, rho: DeviceArray, layers: int, depth: int, factor: float) -> DeviceArray | None:
        return limit.limit_profile(rho, layers, depth, factor)

    def linearised(self, X: np.ndarray, net: TwoLayerReLU) -> LinearisedThere:
        return LinearisedThere(X, net)


BACKEND: Backend = CudaBackend()
