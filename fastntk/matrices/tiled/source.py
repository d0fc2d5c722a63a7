"""A Gram matrix that can be computed block by block: what the limit and the finite width have in common."""

import abc
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """What all blocks of a matrix take, as the `estimate` of its kind of source says from sizes alone."""

    multiply_adds: int  # of the products that BLAS computes
    bit_products: int = 0  # pairs of activation bits that are compared
    kernel_values: int = 0  # evaluations of the transcendental part
    passes: int = 1  # over the neurons, or calls where there are none
    points: int = 0  # that neurons are applied to, in all passes
    filling_bytes: int = 0  # beside points and result, while a block is computed
    lasting_bytes: int = 0  # of these, what is still held when the result is written


class GramSource(abc.ABC):
    """Checked inputs of a Gram matrix, and how to compute any block of it.

    Attributes
    ----------
    shape : tuple of int
        (n, k); k = n without a second set of points.
    symmetric : bool
        Whether rows and columns are the same points.
    dtype : numpy.dtype
        Precision of the blocks.
    """

    shape: tuple[int, int]
    symmetric: bool
    dtype: np.dtype

    @abc.abstractmethod
    def fill(self, rows: slice, columns: slice, out: np.ndarray) -> None:
        """Compute the block ``[rows, columns]`` into `out`, C-contiguous and of `dtype`.

        Equal ranges of a symmetric matrix are computed by halves; entries do not depend on how the matrix is cut into
        blocks beyond the rounding of their products, and [i, j] computed as part of the blocks (I, J) and (J, I) may
        differ by that rounding: a whole symmetric matrix takes the lower blocks and mirrors them.
        """

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Hexadecimal digest of all that the entries depend on: inputs and options, not the blocks."""

    @abc.abstractmethod
    def diagonal(self) -> np.ndarray:
        """The diagonal of a symmetric matrix, of `dtype`, in O(n d)."""
