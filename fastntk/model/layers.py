"""Forward and backward through several layers: activations, patterns and derivatives of each, and the outputs."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fastntk.base.memory import aligned_zeros, require_memory
from fastntk.base.packing import TILE, PackedMasks, tiles_of
from fastntk.kernels.cpu import layers
from fastntk.kernels.scratch import thread_slots


class ForwardState:
    """``x^(0) ... x^(H)`` of a set of samples, one column each, and the activation patterns.

    Attributes
    ----------
    x : list of H + 1 arrays, shapes (m_h, padded n)
        The samples, then what leaves each layer; zeros on the padding.
    masks : list of H PackedMasks
    """

    def __init__(self, X: np.ndarray, widths: Sequence[int], dtype: np.dtype) -> None:
        self.n, columns = len(X), TILE * tiles_of(len(X))
        needed = forward_bytes(self.n, X.shape[1], widths, dtype)
        require_memory(needed, f"the activations of n={self.n} samples")
        self.x = [aligned_zeros((rows, columns), dtype) for rows in (X.shape[1], *widths)]
        self.x[0][:, : self.n] = X.T
        self.masks = [PackedMasks.empty(self.n, m) for m in widths]
        self._partial = aligned_zeros((thread_slots(), columns), dtype)
        self._shares = aligned_zeros((-(-widths[-1] // layers.ROWS), columns), np.float64)

    def forward(self, W: Sequence[np.ndarray], a: np.ndarray, scale: float) -> np.ndarray:
        """All layers with these weights; the outputs (n,) float64."""
        for h, weights in enumerate(W):
            factor = layer_factor(scale, len(weights), weights.dtype)
            layers.forward_layer(weights, self.x[h], self.n, factor, self.x[h + 1], self.masks[h].bits)
        layers.output_shares(self.x[-1], a, self._partial, self._shares)
        outputs: np.ndarray = self._shares.sum(axis=0)[: self.n]
        return outputs

    def require(self, values: np.ndarray) -> None:
        """ValueError unless the outputs are finite."""
        if not np.isfinite(values).all():
            raise ValueError(
                f"X and W must keep all layers, and the outputs, within the range of {self.x[0].dtype.name}, "
                "got an overflow"
            )

    def derivatives(
        self,
        W: Sequence[np.ndarray],
        a: np.ndarray,
        scale: float,
        e: np.ndarray,
        lowest: int,
        place: Callable[[int], np.ndarray],
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Layers from the last to ``lowest``, counted from 0, with e times ``delta^(h)``, written to ``place(h)``.

        A layer comes after the derivatives of the one below it were computed: then its weights may change.
        """
        factors = [layer_factor(scale, len(weights), weights.dtype) for weights in W]
        h = len(W) - 1
        delta = place(h)
        layers.top_delta(a, e, factors[h], self.masks[h].bits, delta)
        while h > lowest:
            below = place(h - 1)
            layers.backward_layer(W[h], delta, factors[h - 1], self.masks[h - 1].bits, below)
            yield h, delta
            h, delta = h - 1, below
        yield h, delta


def layer_factor(scale: float, width: int, dtype: np.dtype) -> np.ndarray:
    """``scale / sqrt(m)`` as kernels take it."""
    return np.array([scale / math.sqrt(width)], dtype)


def descent_bytes(n: int, d: int, widths: Sequence[int], dtype: np.dtype, backward: bool = True) -> int:
    """Memory of descent beside the weights: forward, patterns at the start, room for a layer's derivatives."""
    room = n * max(widths) * np.dtype(dtype).itemsize if backward else 0
    return forward_bytes(n, d, widths, dtype) + n * sum(widths) // 8 + room


def forward_bytes(n: int, d: int, widths: Sequence[int], dtype: np.dtype) -> int:
    """Memory of the forward pass of n samples."""
    return n * ((d + sum(widths)) * np.dtype(dtype).itemsize + sum(widths) // 8)
