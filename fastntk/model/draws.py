"""Random numbers of the initial network: neuron r does not depend on how many are drawn, nor in which pieces."""

from collections.abc import Callable

import numpy as np

DRAW_BYTES = 2**23  # neurons are drawn in pieces of this size: float64 draws are never all in memory


def streams(seed: int) -> list[np.random.SeedSequence]:
    """Independent streams for the two layers."""
    return np.random.SeedSequence(seed).spawn(2)


def weight_draws(seed: int, kappa: float = 1.0) -> Callable[[np.ndarray], None]:
    """What fills rows with the next neurons of the stream; the neurons do not depend on how many rows at a time."""
    draw = np.random.default_rng(streams(seed)[0]).standard_normal

    def fill(rows: np.ndarray) -> None:
        step = max(1, DRAW_BYTES // (8 * rows.shape[1]))
        for first in range(0, len(rows), step):
            piece = rows[first : first + step]
            np.multiply(draw(piece.shape), kappa, out=piece, casting="same_kind")

    return fill
