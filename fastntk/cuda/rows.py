"""Lengths of samples on a GPU."""

import numpy as np

from fastntk.cuda.copies import in_precision
from fastntk.device.arrays import DeviceArray, empty, upload
from fastntk.kernels.cuda import rows
from fastntk.kernels.cuda.plans import Products


def row_lengths(X: DeviceArray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `fastntk.matrices.rows.measure`: n numbers of each kind come to the host."""
    n = len(X)
    squares, lengths, projections = empty(n, np.float64), empty(n, np.float64), empty((n, 1), np.float64)
    rows.row_lengths(X, squares, lengths)
    Products().nt(in_precision(X, np.dtype(np.float64)), upload(direction[np.newaxis]), projections)
    return squares.copy_to_host(), lengths.copy_to_host(), projections.copy_to_host().reshape(n)
