"""The weights of the second layer on a GPU while they move: nothing of them leaves it until somebody asks."""

import math
from typing import Any

import numpy as np

from fastntk.device.arrays import upload, zeros
from fastntk.kernels.cuda.reductions import largest_magnitude
from fastntk.kernels.cuda.second_layer import blend_second, move_second
from fastntk.optimizers import Optimizer


class GpuSecondLayer:
    """As `fastntk.engines.second_layer.SecondLayer`; ``a_on_gpu`` is its ``a`` on the GPU."""

    def __init__(self, a: np.ndarray, optimizer: Optimizer) -> None:
        self._initial, self.a_on_gpu = upload(a), upload(a)
        self._change, self._kept, self._velocity = (zeros(a.size, np.float64) for _ in range(3))
        self._coefficients = optimizer.coefficients()[:3]

    @staticmethod
    def bytes_needed(m: int, itemsize: int) -> int:
        """Memory on the GPU."""
        return m * (2 * itemsize + 3 * 8)

    @property
    def a(self) -> np.ndarray:
        """The present weights, copied to the host."""
        return np.asarray(self.a_on_gpu.copy_to_host())

    def step(self, shares: Any, lr: float) -> None:
        """Move along ``-lr g`` with ``g_r = products_r / sqrt(m)``, the products in shares of ranges."""
        factor = -lr / math.sqrt(self.a_on_gpu.size)
        move_second(
            shares, factor, self._coefficients, self._initial, self._change, self._velocity, self.a_on_gpu
        )

    def keep(self) -> None:
        """Keep the present weights, to return to them or to average with them."""
        self._kept.copy_to_device(self._change)

    def blend(self, share: float) -> None:
        """Go to ``share * kept + (1 - share) * present``."""
        blend_second(share, self._initial, self._kept, self._change, self.a_on_gpu)

    def undo(self) -> None:
        """Return to the weights that were kept."""
        self._change.copy_to_device(self._kept)
        self.blend(1.0)

    def drift(self) -> float:
        """``max_r |a_r - a_r(0)|``."""
        return float(np.abs(self._change.copy_to_host()).max())

    def log_drift(self, log: Any, k: int) -> None:
        """log[k] = the same."""
        largest_magnitude(self._change, self._change.size, log, k)
