"""The packed-bit contract: how an activation pattern M (n samples, m neurons) is stored.

One byte holds eight samples of one neuron: bit ``j`` of ``bits[g, r]`` is ``M[8 g + j, r]``.  Samples
are padded to a multiple of 16 (a "tile", one vector of pre-activations, two rows of bytes) and neurons to a multiple
of 64, so that every row starts a cache line.  All padding bits are 0.

Two bytes are the sign mask of a vector of pre-activations, and eight rows side by side are words of 64 samples, from
which masked sums cut the indices of their tables.  Counting needs words over neurons instead; transposing 8 bits by 64
neurons gives exactly the panel of eight samples that the counting kernel reads.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastntk.base.arrays import host_array
from fastntk.base.memory import aligned_zeros

SAMPLES_PER_BYTE = 8
TILE = 16  # lanes of a vector of pre-activations
NEURONS_PER_WORD = 64


def tiles_of(n: int) -> int:
    """Number of tiles that hold ``n`` rows or columns."""
    return -(-n // TILE)


def byte_rows(n: int) -> int:
    """Number of rows of bytes that hold ``n`` samples."""
    return TILE // SAMPLES_PER_BYTE * tiles_of(n)


def padded_width(m: int) -> int:
    """``m`` rounded up to whole 64-bit words."""
    return -(-m // NEURONS_PER_WORD) * NEURONS_PER_WORD


class PackedMasks:
    """Activation pattern of ``n`` samples and ``m`` neurons, one bit an entry.

    Parameters
    ----------
    bits : ndarray of uint8, shape (2 ceil(n / 16), 64 ceil(m / 64))
        The packed pattern, laid out as this module's header says.
    shape : (int, int)
        ``(n, m)``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.base.packing import PackedMasks
    >>> masks = PackedMasks.from_dense(np.array([[True, False, True]]))
    >>> masks.shape, masks.to_dense()
    ((1, 3), array([[ True, False,  True]]))
    """

    __slots__ = ("_shape", "bits")

    def __init__(self, bits: np.ndarray, shape: tuple[int, int]) -> None:
        n, m = shape
        if n < 1 or m < 1:
            raise ValueError(f"shape must be at least (1, 1), got {shape}")
        if not isinstance(bits, np.ndarray):
            raise TypeError(f"bits must be an array, got {type(bits).__name__}")
        expected = (byte_rows(n), padded_width(m))
        if bits.dtype != np.uint8 or bits.shape != expected or not bits.flags.c_contiguous:
            raise ValueError(
                f"bits must be a C-contiguous uint8 array of shape {expected} for masks of shape {shape}, "
                f"got {bits.dtype} of shape {bits.shape}"
            )
        whole, some = divmod(n, SAMPLES_PER_BYTE)
        if bits[:, m:].any() or bits[whole + (some > 0) :].any() or (some and (bits[whole] >> some).any()):
            raise ValueError(f"bits must be 0 beyond sample {n} and neuron {m}")
        self.bits = bits
        self._shape = (int(n), int(m))

    @classmethod
    def empty(cls, n: int, m: int) -> "PackedMasks":
        """All bits 0."""
        return cls(aligned_zeros((byte_rows(n), padded_width(m)), np.uint8), (n, m))

    @classmethod
    def from_dense(cls, dense: npt.ArrayLike) -> "PackedMasks":
        """Pack a boolean (n, m) array."""
        values = host_array(dense, "dense", 2)
        if values.dtype != np.bool_ or values.ndim != 2 or 0 in values.shape:
            raise ValueError(
                f"dense must be a non-empty boolean matrix, got {values.dtype} of shape {values.shape}"
            )
        n, m = values.shape
        masks = cls.empty(n, m)
        padded = np.zeros((SAMPLES_PER_BYTE * byte_rows(n), m), dtype=np.bool_)
        padded[:n] = values
        groups = padded.reshape(-1, SAMPLES_PER_BYTE, m)
        masks.bits[:, :m] = np.packbits(groups, axis=1, bitorder="little")[:, 0]
        return masks

    @property
    def shape(self) -> tuple[int, int]:
        """``(n, m)``: samples and neurons."""
        return self._shape

    @property
    def words(self) -> npt.NDArray[np.uint64]:
        """The bits as words of 8 neurons by 8 samples, for what does not care which bit is which."""
        return self.bits.view(np.uint64)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed bits."""
        return self.bits.nbytes

    def to_dense(self) -> npt.NDArray[np.bool_]:
        """The pattern as a boolean (n, m) array."""
        n, m = self._shape
        lanes = np.unpackbits(self.bits[:, np.newaxis, :m], axis=1, bitorder="little")
        return lanes.reshape(-1, m)[:n].astype(np.bool_)

    def copy(self) -> "PackedMasks":
        """An independent copy."""
        copied = PackedMasks.empty(*self._shape)
        copied.overwrite(self)
        return copied

    def overwrite(self, masks: "PackedMasks") -> None:
        """Take the bits of another pattern of this shape."""
        self.bits[...] = masks.bits

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("masks are packed: a dense array cannot be made without a copy")
        return self.to_dense() if dtype is None else self.to_dense().astype(dtype)

    def __repr__(self) -> str:
        return f"PackedMasks(n={self._shape[0]}, m={self._shape[1]}, {self.nbytes} bytes)"
