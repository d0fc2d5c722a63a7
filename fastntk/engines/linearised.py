"""A network and samples at the start, and what happens if its weights move without its kernel changing."""

from __future__ import annotations

import numpy as np

from fastntk.base.packing import PackedMasks
from fastntk.compilation.threads import kernel_threads
from fastntk.matrices.finite import GramOfPatterns
from fastntk.matrices.inner_products import product_tiles
from fastntk.model.masked_sums import scaled_sums
from fastntk.model.network import TwoLayerReLU
from fastntk.model.patterns import forward_pass

_BLOCK = 4096  # neurons at a time: a few MB of pre-activations


class Linearised:
    """Outputs ``u``, kernel and moves of a network, with its pattern at the start."""

    def __init__(self, X: np.ndarray, net: TwoLayerReLU) -> None:
        self._X, self._net = X, net
        self._masks, self.u = forward_pass(X, net.W, net.a)

    def gram(self) -> np.ndarray:
        """H(0)."""
        return GramOfPatterns(self._X, self._net.a)(self._masks)

    def moved(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Largest drift of a neuron and fraction of changed patterns for each row c of coefficients (k, n).

        Weights move by ``-(a_r / sqrt(m)) sum_i c_i M_ir(0) x_i``.
        """
        X, net = self._X, self._net
        n, m, dtype = len(X), net.width, net.W.dtype
        K = product_tiles(X, dtype)
        lengths, flips = np.zeros(len(coefficients)), np.zeros(len(coefficients), dtype=np.int64)
        with kernel_threads():
            for first in range(0, m, _BLOCK):
                here = slice(first, min(first + _BLOCK, m))
                Z = net.W[here] @ X.T.astype(dtype)
                bits = np.ascontiguousarray(self._masks.bits[:, first : first + _BLOCK])
                block = PackedMasks(bits, (n, len(Z))).to_dense().T
                scale = (net.a[here] / np.sqrt(m)).astype(dtype)
                change = np.empty_like(Z)
                for k, c in enumerate(coefficients):
                    scaled_sums(bits, K, c, scale, change)
                    squares = np.einsum("ri,i,ri->r", change, c, block, optimize=False)
                    lengths[k] = np.maximum(lengths[k], (scale.astype(np.float64) * squares).max())
                    np.subtract(Z, change, out=change)
                    flips[k] += np.count_nonzero((change >= 0.0) != block)
        return np.sqrt(np.maximum(lengths, 0.0)), flips / (n * m)
