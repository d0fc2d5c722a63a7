"""What `fastntk.device.dispatch` asks of the GPU: checked arrays in, arrays of the CUDA module out."""

import numpy as np

from fastntk.cuda import copies, networks, rows
from fastntk.cuda.engines.dual import CudaDualEngine
from fastntk.cuda.engines.primal import CudaPrimalEngine
from fastntk.cuda.matrices import finite, limit, patterns
from fastntk.device.dispatch import Backend, DeviceArray, DevicePattern
from fastntk.engines.choice import GPU_ENGINES
from fastntk.kernels.cpu.limit import Points
from fastntk.matrices.passes import terms_of


class CudaBackend:
    """The methods are described in `fastntk.device.dispatch`."""

    def host_copy(self, values: DeviceArray) -> np.ndarray:
        return copies.host_copy(values)

    def converted(self, values: DeviceArray, dtype: np.dtype) -> tuple[DeviceArray, bool]:
        return copies.converted(values, dtype)

    def activation_bits(self, X: DeviceArray, W: DeviceArray) -> DeviceArray:
        return patterns.activation_bits(X, W)

    def packed_bits(self, dense: DeviceArray) -> DeviceArray:
        return patterns.packed_bits(dense)

    def to_dense(self, masks: DevicePattern) -> DeviceArray:
        return patterns.to_dense(masks)

    def coactivation_counts(self, masks: DevicePattern) -> DeviceArray:
        return patterns.coactivation_counts(masks)

    def flip_count(self, before: DevicePattern, after: DevicePattern) -> int:
        return patterns.flip_count(before, after)

    def flip_marginals(self, before: DevicePattern, after: DevicePattern) -> tuple[DeviceArray, DeviceArray]:
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
        network: DeviceArray | tuple[DevicePattern, DevicePattern],
        layers: str,
        a: np.ndarray,
        dtype: np.dtype,
        out: DeviceArray | None,
    ) -> DeviceArray:
        return finite.gram(points, others, network, terms_of(layers, a), dtype, out)

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


BACKEND: Backend = CudaBackend()
GPU_ENGINES[:] = CudaDualEngine, CudaPrimalEngine
