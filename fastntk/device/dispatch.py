"""What is asked of the GPU, and the one place that asks: `backend` loads `fastntk.cuda` for arrays on a GPU only.

Arguments have been checked before (`fastntk.device.checks`); arrays are those of the CUDA module, and so are results,
which the caller gives back to the library of its arguments.
"""

import contextlib
import functools
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastntk.device.driver import guard, require

if TYPE_CHECKING:  # types that are described with the floors above, and never needed at run time
    from fastntk.device.arrays import DeviceArray
    from fastntk.device.masks import DevicePackedMasks
    from fastntk.engines.interface import Engine
    from fastntk.kernels.cpu.limit import Points
    from fastntk.matrices.passes import Terms
    from fastntk.model.network import TwoLayerReLU
    from fastntk.theory.linearised import Linearised


class Transfers(Protocol):
    """Arrays as they come and go."""

    def host_copy(self, values: "DeviceArray") -> np.ndarray:
        """A copy in host memory of an array of any strides."""

    def converted(self, values: "DeviceArray", dtype: np.dtype) -> tuple["DeviceArray", bool]:
        """A C-contiguous array in that precision, itself if it is one; whether all entries are finite there."""


class Patterns(Protocol):
    """Activation patterns."""

    def activation_masks(self, X: "DeviceArray", W: "DeviceArray", library: str) -> "DevicePackedMasks":
        """See `fastntk.activation_masks`."""

    def packed(self, dense: "DeviceArray", library: str) -> "DevicePackedMasks":
        """A boolean matrix as bits."""

    def to_dense(self, masks: "DevicePackedMasks") -> "DeviceArray":
        """Bits as a boolean matrix."""

    def coactivation_counts(self, masks: "DevicePackedMasks") -> "DeviceArray":
        """See `fastntk.coactivation_counts`."""

    def flip_count(self, before: "DevicePackedMasks", after: "DevicePackedMasks") -> int:
        """See `fastntk.flip_count`."""

    def flip_marginals(
        self, before: "DevicePackedMasks", after: "DevicePackedMasks"
    ) -> tuple["DeviceArray", "DeviceArray"]:
        """See `fastntk.flip_marginals`."""


class Networks(Protocol):
    """Outputs and gradients; samples and weights are in the precision of W."""

    def outputs(self, X: "DeviceArray", W: "DeviceArray", a: "DeviceArray") -> "DeviceArray":
        """``u`` of `fastntk.TwoLayerReLU`."""

    def loss_gradient(
        self, X: "DeviceArray", y: "DeviceArray", W: "DeviceArray", a: "DeviceArray"
    ) -> "DeviceArray":
        """See `fastntk.loss_gradient`."""


class Matrices(Protocol):
    """Gram matrices and their limits, whole ones; those without `out` are allocated."""

    def row_lengths(
        self, X: "DeviceArray", direction: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The fields of `fastntk.matrices.rows.Lengths`, on the host."""

    def gram(
        self,
        points: "DeviceArray",
        others: "DeviceArray",
        network: "DeviceArray | tuple[DevicePackedMasks, DevicePackedMasks]",
        terms: "Terms",
        dtype: np.dtype,
        out: "DeviceArray | None",
    ) -> "DeviceArray":
        """See `fastntk.gram`, of weights or of patterns; symmetric if both sets of points, and patterns, are one."""

    def limit_gram(
        self,
        points: "Points",
        others: "Points",
        layers: int,
        depth: int,
        dtype: np.dtype,
        out: "DeviceArray | None",
    ) -> "DeviceArray":
        """See `fastntk.limit_gram`, of points whose rows are on the GPU; symmetric if both sets of them are one."""

    def limit_profile(
        self, rho: "DeviceArray", layers: int, depth: int, factor: float
    ) -> "DeviceArray | None":
        """See `fastntk.limit_profile`; None if an entry is not between -1 and 1."""


class Training(Protocol):
    """Engines, and what else works on the state of a network."""

    @property
    def engines(self) -> "tuple[type[Engine], type[Engine]]":
        """The dual and the primal engine."""

    def linearised(self, X: np.ndarray, net: "TwoLayerReLU") -> "Linearised":
        """The linearised network, of data in host memory."""


class Backend(Transfers, Patterns, Networks, Matrices, Training, Protocol):
    """All that is asked of the GPU."""


@contextlib.contextmanager
def backend() -> Iterator[Backend]:
    """The backend, for work that is waited for and whose errors are typed; DeviceError where there is no GPU."""
    require()
    with guard():
        yield _loaded()


@functools.cache
def _loaded() -> Backend:
    found: Backend = importlib.import_module("fastntk.cuda.backend").BACKEND
    return found
