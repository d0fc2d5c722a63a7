"""What is asked of the GPU: the types of it, and `backend`, which loads what answers, for arrays on a GPU only.

Arguments have been checked before (`fastntk.device.checks`); arrays are those of the CUDA module, and so are results,
which the caller gives back to the library of its arguments.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # `import fastntk` comes here, and waits for nothing large
    import numpy as np
    import numpy.typing as npt

    from fastntk.kernels.cpu.limit import Points


class DeviceArray(Protocol):
    """What this package uses of an array of the CUDA module."""

    dtype: np.dtype
    shape: tuple[int, ...]
    ndim: int
    size: int
    nbytes: int

    def __len__(self) -> int: ...

    def __getitem__(self, where: Any) -> DeviceArray: ...

    def copy_to_host(self, ary: np.ndarray | None = None) -> np.ndarray:
        """A copy in host memory, in `ary` if given."""

    def copy_to_device(self, values: Any) -> None:
        """Take the entries of an array of either memory."""

    def is_c_contiguous(self) -> bool:
        """Whether entries lie without gaps, row by row."""

    def reshape(self, *shape: int) -> DeviceArray:
        """The same memory in another shape."""

    def view(self, dtype: npt.DTypeLike) -> DeviceArray:
        """The same memory as numbers of another type."""


class DevicePattern(Protocol):
    """What the backend uses of an activation pattern: `fastntk.device.masks.DevicePackedMasks`."""

    bits: DeviceArray
    shape: tuple[int, int]


class Transfers(Protocol):
    """Arrays as they come and go."""

    def host_copy(self, values: DeviceArray) -> np.ndarray:
        """A copy in host memory of an array of any strides."""

    def converted(self, values: DeviceArray, dtype: np.dtype) -> tuple[DeviceArray, bool]:
        """A C-contiguous array in that precision, itself if it is one; whether all entries are finite there."""


class Patterns(Protocol):
    """Activation patterns."""

    def activation_bits(self, X: DeviceArray, W: DeviceArray) -> DeviceArray:
        """The bits of `fastntk.activation_masks`."""

    def packed_bits(self, dense: DeviceArray) -> DeviceArray:
        """The bits of a boolean matrix."""

    def to_dense(self, masks: DevicePattern) -> DeviceArray:
        """Bits as a boolean matrix."""

    def coactivation_counts(self, masks: DevicePattern) -> DeviceArray:
        """See `fastntk.coactivation_counts`."""

    def flip_count(self, before: DevicePattern, after: DevicePattern) -> int:
        """See `fastntk.flip_count`."""

    def flip_marginals(self, before: DevicePattern, after: DevicePattern) -> tuple[DeviceArray, DeviceArray]:
        """See `fastntk.flip_marginals`."""


class Networks(Protocol):
    """Outputs and gradients; samples and weights are in the precision of W."""

    def outputs(self, X: DeviceArray, W: DeviceArray, a: DeviceArray) -> DeviceArray:
        """``u`` of `fastntk.TwoLayerReLU`."""

    def loss_gradient(self, X: DeviceArray, y: DeviceArray, W: DeviceArray, a: DeviceArray) -> DeviceArray:
        """See `fastntk.loss_gradient`."""


class Matrices(Protocol):
    """Gram matrices and their limits, whole ones; those without `out` are allocated."""

    def row_lengths(self, X: DeviceArray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The fields of `fastntk.matrices.rows.Lengths`, on the host."""

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
        """See `fastntk.gram`, of weights or of patterns, which are one for symmetry; `a` may be one number for all."""

    def limit_gram(
        self,
        points: Points,
        others: Points,
        layers: int,
        depth: int,
        dtype: np.dtype,
        out: DeviceArray | None,
    ) -> DeviceArray:
        """See `fastntk.limit_gram`, of points whose rows are on the GPU; symmetric if both sets of them are one."""

    def limit_profile(self, rho: DeviceArray, layers: int, depth: int, factor: float) -> DeviceArray | None:
        """See `fastntk.limit_profile`; None if an entry is not between -1 and 1."""


class Backend(Transfers, Patterns, Networks, Matrices, Protocol):
    """All that is asked of the GPU."""


_load: Callable[[], Backend]


def register(load: Callable[[], Backend]) -> None:
    """Say how the backend is loaded, which lives on a floor above all that ask for it."""
    global _load
    _load = load


@contextlib.contextmanager
def backend() -> Iterator[Backend]:
    """The backend, for work that is waited for and whose errors are typed; DeviceError where there is no GPU."""
    from fastntk.device.driver import guard, require

    require()
    with guard():
        yield _load()
