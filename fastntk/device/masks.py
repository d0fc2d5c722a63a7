"""Activation patterns in the memory of a GPU, in the layout of `fastntk.base.packing`."""

from typing import Any

from fastntk.base.packing import PackedMasks
from fastntk.device.arrays import empty, give_back, on_host, upload
from fastntk.device.dispatch import DeviceArray, backend
from fastntk.device.driver import require_memory


class DevicePackedMasks:
    """Activation pattern of ``n`` samples and ``m`` neurons on a GPU, one bit an entry; `activation_masks` makes them.

    Attributes
    ----------
    bits : device array of uint8, shape (2 ceil(n / 16), 64 ceil(m / 64))
        As in `PackedMasks`.
    shape : (int, int)
        ``(n, m)``.
    library : str
        Library whose arrays the functions of this pattern return: that of the samples it was made of.
    """

    __slots__ = ("bits", "library", "shape")

    def __init__(self, bits: DeviceArray, shape: tuple[int, int], library: str) -> None:
        self.bits, self.shape, self.library = bits, shape, library

    @classmethod
    def from_host(cls, masks: PackedMasks, library: str = "numba") -> "DevicePackedMasks":
        """A copy on the GPU."""
        return cls(upload(masks.bits), masks.shape, library)

    def to_host(self) -> PackedMasks:
        """A copy in host memory."""
        return PackedMasks(self.bits.copy_to_host(), self.shape)

    def copy(self) -> "DevicePackedMasks":
        """An independent copy on the GPU."""
        require_memory(self.nbytes, f"another pattern of n={self.shape[0]} samples")
        copied = DevicePackedMasks(empty(self.bits.shape, self.bits.dtype), self.shape, self.library)
        copied.overwrite(self)
        return copied

    def overwrite(self, masks: "DevicePackedMasks") -> None:
        """Take the bits of another pattern of this shape."""
        self.bits.copy_to_device(masks.bits)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed bits."""
        return int(self.bits.nbytes)

    def to_dense(self) -> Any:
        """The pattern as a boolean (n, m) array on the GPU."""
        with backend() as gpu:
            dense = gpu.to_dense(self)
        return give_back(dense, self.library)

    def __repr__(self) -> str:
        return f"DevicePackedMasks(n={self.shape[0]}, m={self.shape[1]}, {self.nbytes} bytes)"


def masks_on_host(masks: Any) -> Any:
    """A pattern, a pair of them or None, with a copy in host memory of each that lives on a GPU."""
    if isinstance(masks, tuple):
        return tuple(map(masks_on_host, masks))
    return masks.to_host() if isinstance(masks, DevicePackedMasks) else on_host(masks)
