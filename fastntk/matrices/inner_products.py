"""Inner products of the samples."""

import numpy as np
import numpy.typing as npt

from fastntk.compilation.threads import kernel_threads
from fastntk.kernels.cpu.products import products as _products
from fastntk.kernels.scratch import thread_slots
from fastntk.model.patterns import block_pairs

_ROWS = 128  # of a block: a few dozen tasks at n = 1000


def products(X: np.ndarray) -> npt.NDArray[np.float64]:
    """``X X^T`` in float64, exactly symmetric."""
    rows = np.ascontiguousarray(X, dtype=np.float64)
    n = len(rows)
    K = np.empty((n, n))
    with kernel_threads():
        _products(rows, block_pairs(-(-n // _ROWS)), np.empty((thread_slots(), _ROWS, _ROWS)), K)
    return K
