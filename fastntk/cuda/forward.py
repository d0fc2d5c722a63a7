"""The forward product on a GPU, in blocks of neurons, so that pre-activations are never all in memory."""

import math
from typing import Any

import numpy as np

from fastntk.base.packing import TILE, padded_width, tiles_of
from fastntk.device.arrays import empty
from fastntk.kernels.cuda.activation import activation
from fastntk.kernels.cuda.forward import NEURONS, forward
from fastntk.kernels.cuda.plans import Products
from fastntk.kernels.cuda.reductions import column_sums
from fastntk.kernels.cuda.views import columns

_BLOCK_BYTES = 2**28  # of pre-activations: far more than a device needs to be busy


def _block(n: int, m: int, dtype: np.dtype) -> int:
    """Neurons of a block, a multiple of those of a thread block."""
    fitting = _BLOCK_BYTES // (n * np.dtype(dtype).itemsize * NEURONS) * NEURONS
    return min(max(fitting, NEURONS), -(-m // NEURONS) * NEURONS)


def product_bytes(n: int, m: int, dtype: np.dtype) -> int:
    """Memory of a `GpuForward`."""
    shares = 8 * -(-m // NEURONS) * TILE * tiles_of(n)
    return n * _block(n, m, dtype) * np.dtype(dtype).itemsize + shares


class GpuForward:
    """Masks and outputs of n samples and m neurons from weights that are given by neuron, or transposed.

    Without `outputs` masks alone, of up to m neurons.
    """

    def __init__(self, n: int, m: int, dtype: np.dtype, outputs: bool = True) -> None:
        self._n, self._m = n, m
        self._block = _block(n, m, dtype)
        self._Z = empty((n, self._block), dtype)
        if outputs:
            self._u_shares = empty((-(-m // NEURONS), TILE * tiles_of(n)), np.float64)
        self._products = Products()

    def masks(self, X: Any, W: Any, bits: Any) -> None:
        """Write the bits of W (m, d), or of fewer neurons."""
        for first in range(0, len(W), self._block):
            count = min(self._block, len(W) - first)
            self._products.nt(X, W[first : first + count], self._Z)
            here = columns(bits, first, first + padded_width(count))
            activation(self._Z, self._n, count, here)

    def __call__(self, X: Any, W: Any, a: Any, bits: Any, u: Any, transposed: bool = False) -> None:
        """Write the bits and outputs u (n,) of W (m, d), or of W (d, m or more) if transposed."""
        for first in range(0, self._m, self._block):
            count = min(self._block, self._m - first)
            here = slice(first, first + count)
            if transposed:
                self._products.nn(X, columns(W, first, first + count), self._Z)
            else:
                self._products.nt(X, W[here], self._Z)
            shares = self._u_shares[first // NEURONS : -(-(first + count) // NEURONS)]
            some_bits = columns(bits, first, first + padded_width(count))
            forward(self._Z, self._n, count, a[here], some_bits, shares)
        column_sums(self._u_shares, 1.0 / math.sqrt(self._m), u)
