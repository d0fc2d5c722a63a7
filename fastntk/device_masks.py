"""Activation patterns in the memory of a GPU, in the layout of `fastntk.packing`."""

from typing import Any

from fastntk import device_arrays
from fastntk.packing import PackedMasks


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

    def __init__(self, bits: Any, shape: tuple[int, int], library: str) -> None:
        self.bits, self.shape, self.library = bits, shape, library

    @classmethod
    def from_host(cls, masks: PackedMasks, library: str = "numba") -> "DevicePackedMasks":
        """A copy on the GPU."""
        return cls(device_arrays.upload(masks.bits), masks.shape, library)

    def to_host(self) -> PackedMasks:
        """A copy in host memory."""
        return PackedMasks(self.bits.copy_to_host(), self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed bits."""
        return int(self.bits.nbytes)

    def to_dense(self) -> Any:
        """The pattern as a boolean (n, m) array on the GPU."""
        from fastntk.cuda import operations

        return operations.to_dense(self)

    def __repr__(self) -> str:
        return f"DevicePackedMasks(n={self.shape[0]}, m={self.shape[1]}, {self.nbytes} bytes)"


def on_host(masks: PackedMasks | DevicePackedMasks) -> PackedMasks:
    """The pattern, or a copy in host memory if it lives on a GPU."""
    return masks.to_host() if isinstance(masks, DevicePackedMasks) else masks
