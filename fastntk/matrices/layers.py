"""Gram matrices of the gradients by each layer of a deep network.

``G^(h)_ij = (x_i^(h-1) . x_j^(h-1)) (delta_i^(h) . delta_j^(h))``, and ``x_i^(H) . x_j^(H)`` of the output.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import PackedMasks
from fastntk.kernels.cpu.coactivation import gram_from_panels
from fastntk.kernels.cpu.layer_gram import SIDE, column_products
from fastntk.kernels.scratch import thread_slots
from fastntk.matrices.inner_products import products
from fastntk.model.patterns import block_pairs, panels


class LayerGrams:
    """The matrices of fixed samples; what they have in common, and room for one matrix, is kept between calls.

    Parameters
    ----------
    X : ndarray, shape (n, d)
    dtype : dtype
        Precision of the network.
    """

    def __init__(self, X: np.ndarray, dtype: np.dtype) -> None:
        n = len(X)
        self._inner = products(X)
        self._pairs = block_pairs(-(-n // SIDE))
        slots = thread_slots()
        self._part = aligned_zeros((slots, SIDE, SIDE), dtype)
        self._sums = aligned_zeros((slots, SIDE, SIDE), np.float64)
        self._factor, self._gram = np.empty((n, n)), np.empty((n, n))

    @staticmethod
    def bytes_needed(n: int) -> int:
        """Memory of what is kept between calls."""
        return 3 * 8 * n * n

    def __call__(
        self,
        layers: Sequence[int],
        x: Sequence[np.ndarray],
        deltas: Sequence[np.ndarray | None],
        masks: PackedMasks,
        a: np.ndarray,
        scale: float,
    ) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """The layers' numbers with their matrices, each of which lasts until the next is asked for.

        ``x`` are the samples and what leaves each layer, ``deltas`` the derivatives by what enters it, both of
        (neurons, padded n); ``masks`` is the pattern of the last hidden layer, which for weights ``a`` of one size
        takes the place of its deltas.
        """
        depth = len(x) - 1
        for layer in layers:
            if layer == depth + 1:
                self._products(x[-1], self._gram)
            elif layer == depth and (np.abs(a) == abs(a[0])).all():
                S = self._covariance(x, layer)
                S *= float(a[0]) ** 2 * scale**2
                self._counted(masks, S)
            else:
                self._products(deltas[layer - 1], self._gram)
                self._gram *= self._covariance(x, layer)
            yield layer, self._gram

    def _covariance(self, x: Sequence[np.ndarray], layer: int) -> np.ndarray:
        """Inner products of what enters a layer; may be overwritten."""
        if layer == 1:
            np.copyto(self._factor, self._inner)
        else:
            self._products(x[layer - 1], self._factor)
        return self._factor

    def _products(self, A: np.ndarray | None, out: np.ndarray) -> None:
        column_products(A, self._pairs, self._part, self._sums, out)

    def _counted(self, masks: PackedMasks, S: np.ndarray) -> None:
        """S times the fractions of common activations."""
        P, pairs, scratch = panels(masks)
        blocks = np.empty(scratch.shape)
        H = self._gram
        gram_from_panels(
            P, S, float(masks.shape[1]), pairs, scratch, blocks, blocks.view(np.uint64), H.view(np.uint64)
        )
