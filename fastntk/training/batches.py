"""Batches: a step sees all samples, or the next ones in the random order of an epoch."""

import numpy as np


class Batches:
    """Estimates of the derivatives ``e`` from ``size`` samples at a time, drawn without replacement in every epoch.

    The samples of a batch keep their derivatives times n / (samples in the batch), the others get zero: over an
    epoch the gradient is right on average.  The last batch of an epoch is smaller if ``size`` does not divide n.
    """

    def __init__(self, n: int, size: int | None, seed: int) -> None:
        self._size = n if size is None else size
        if size is not None:
            stream = np.random.SeedSequence(seed, spawn_key=(2,))  # after the network's two
            self._draw = np.random.default_rng(stream)
        self._order = np.empty(0, dtype=np.intp)

    def __call__(self, e: np.ndarray) -> np.ndarray:
        """The estimate for the next step."""
        n = e.size
        if self._size >= n:
            return e
        if not self._order.size:
            self._order = self._draw.permutation(n)
        batch, self._order = self._order[: self._size], self._order[self._size :]
        estimate = np.zeros_like(e)
        estimate[batch] = e[batch] * (n / batch.size)
        return estimate
