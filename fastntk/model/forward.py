"""The forward product of fixed samples with a network, whose neurons come all at once or some at a time.

Everything that needs the sign of a pre-activation asks here: it is that of one BLAS product, whose shape follows from
the number of samples, the width of the whole network and the precision, so patterns agree to the bit wherever they are
computed.
"""

import numpy as np

from fastntk.base.memory import aligned_zeros
from fastntk.base.packing import NEURONS_PER_WORD, SAMPLES_PER_BYTE, TILE, byte_rows, tiles_of
from fastntk.kernels.cpu.activation import activation
from fastntk.kernels.cpu.forward import forward, forward_moved
from fastntk.kernels.cpu.gram_sums import ROWS
from fastntk.kernels.scratch import padded_rows, thread_slots

_BLOCK_BYTES = 2**23  # a block of pre-activations stays in the last-level cache
_BLOCK_ROWS = 1024  # BLAS packs the samples once a block: more rows gain nothing
_BLOCKS = 8  # at least, for the threads: wide networks have more


def block_rows(n: int, m: int, dtype: np.dtype) -> int:
    """Neurons of one BLAS product: a power of two that follows from the whole width and never from the pieces."""
    fitting = min(_BLOCK_ROWS, m // _BLOCKS, _BLOCK_BYTES // (TILE * tiles_of(n) * dtype.itemsize))
    return max(NEURONS_PER_WORD, 1 << max(fitting, 1).bit_length() - 1)


class Forward:
    """Products of the samples ``X`` with a network of ``m`` neurons; ``room`` neurons have their positive parts kept.

    Attributes
    ----------
    rows : int
        Neurons of a block: pieces of a network begin at multiples of it.
    samples : ndarray
        X in the precision of the network, with zero rows up to whole tiles; X itself if that needs no copy.
    positive : ndarray, shape (ceil(n / 160), room, 160)
        ``relu(w_r . x_i)`` of the neurons of the last call of `signs`, zero beyond the samples.
    """

    def __init__(self, X: np.ndarray, m: int, dtype: np.dtype, room: int = 0) -> None:
        (n, d), slots = X.shape, thread_slots()
        self._m = m
        self.rows = block_rows(n, m, dtype)
        self._n, self.samples = n, padded_rows(X, dtype)
        columns, some = len(self.samples), min(self.rows, m)
        self._Z = aligned_zeros((slots, some, columns), dtype)
        self._octets = aligned_zeros((slots, byte_rows(n), NEURONS_PER_WORD), np.uint8)
        self.positive = aligned_zeros((-(-n // ROWS) if room else 0, room, ROWS), dtype)
        # Pages that are never written take no memory: nobody pays for what he does not call.
        self._W = aligned_zeros((slots, some, d), dtype)
        self._shares = aligned_zeros((slots, columns), dtype)
        self._finite = np.zeros(-(-m // self.rows))
        self._u_shares = aligned_zeros((-(-m // self.rows), columns), np.float64)

    @staticmethod
    def bytes_needed(
        n: int,
        d: int,
        m: int,
        dtype: np.dtype,
        *,
        room: int = 0,
        outputs: bool = False,
        moved: bool = False,
        shared: bool = False,
    ) -> int:
        """Memory for signs alone, for outputs, for those of weights that move; of samples that are shared or copied."""
        columns, rows = TILE * tiles_of(n), block_rows(n, m, dtype)
        some = min(rows, m)
        a_thread = columns * (some * dtype.itemsize + NEURONS_PER_WORD // SAMPLES_PER_BYTE)
        a_thread += some * d * dtype.itemsize * moved + columns * dtype.itemsize * outputs
        shares = 8 * (-(-m // rows) + 2) * columns * outputs  # their sum, and u
        copy = 0 if shared else columns * d * dtype.itemsize
        return thread_slots() * a_thread + shares + copy + -(-n // ROWS) * ROWS * room * dtype.itemsize

    def signs(self, W: np.ndarray, first: int, bits: np.ndarray) -> None:
        """Write the signs of the neurons ``W`` to the columns of the mask bytes that start at ``first``."""
        finite = self._finite[: -(-len(W) // self.rows)]
        activation(W, self.samples, self._n, first, bits, self._Z, self._octets, self.positive, finite)
        self.require(finite)

    def outputs(
        self, W: np.ndarray, a: np.ndarray, bits: np.ndarray, kept: np.ndarray | None = None
    ) -> np.ndarray:
        """Signs, and outputs u (float64), of the whole network; its pre-activations in tiles, if there is room."""
        kept = self._Z[:0] if kept is None else kept
        forward(W, self.samples, self._n, a, bits, self._Z, self._octets, self._shares, self._u_shares, kept)
        u = self._scaled()
        self.require(u)
        return u

    def moved(self, W0: np.ndarray, D: np.ndarray, a: np.ndarray, bits: np.ndarray) -> np.ndarray:
        """Signs and outputs of the weights ``W0 + D``, D in tiles of columns; NaN where they overflow."""
        forward_moved(
            W0,
            D,
            self.samples,
            self._n,
            a,
            bits,
            self._W,
            self._Z,
            self._octets,
            self._shares,
            self._u_shares,
        )
        return self._scaled()

    def require(self, values: np.ndarray) -> None:
        """ValueError unless the values are finite."""
        if not np.isfinite(values).all():
            raise ValueError(
                f"X and W must keep their products, and the outputs, within the range of {self.samples.dtype.name}, "
                "got an overflow"
            )

    def _scaled(self) -> np.ndarray:
        """``u / sqrt(m)`` from the shares, added in neuron order."""
        return self._u_shares.sum(axis=0)[: self._n] / np.sqrt(self._m)
