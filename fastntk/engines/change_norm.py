"""The spectral norm of the change of a layer's weights, which is never formed."""

import numpy as np

from fastntk.model.initial import InitialLayer
from fastntk.spectra.subspace import orthonormal, refine

_BLOCK = 4  # right singular vectors kept from call to call
_FRESH = 1  # random ones among them in every call
_ROUNDS = 30


class ChangeNorm:
    """``|W - W(0)|_2`` of a layer that changes slowly, warm-started from the call before.

    Notes
    -----
    The square root of a Rayleigh quotient of ``D^T D``, D the change: not above the norm, and below it by about
    residual^2 / gap.  Each of some ten products reads W once and holds or draws W(0) in blocks of rows.
    """

    def __init__(self, initial: InitialLayer, rtol: float = 1e-4) -> None:
        self._initial, self._rtol = initial, rtol
        self._rng = np.random.default_rng(0)
        self._rows: np.ndarray | None = None

    def update(self, W: np.ndarray) -> float:
        """The norm now."""
        columns = W.shape[1]

        def product(rows: np.ndarray) -> np.ndarray:
            image = np.zeros(rows.shape)
            for change in self._initial.changes(W):
                exact = change.astype(np.float64)
                image -= (rows @ exact.T) @ exact
            return image

        kept = np.empty((0, columns)) if self._rows is None else self._rows[:-_FRESH]
        count = min(_BLOCK, columns) - min(len(kept), columns)
        block = orthonormal(np.concatenate([kept, self._rng.standard_normal((max(count, 0), columns))]))
        images = product(block)
        if not images.any():
            return 0.0
        ritz = refine(product, block, images, lambda value: self._rtol * abs(value), limit=_ROUNDS)
        self._rows = ritz.rows
        return float(np.sqrt(max(-ritz.values[0], 0.0)))
