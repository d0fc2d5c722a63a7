"""Lengths of samples on a GPU."""

import numpy as np

from fastntk.device.arrays import empty, upload
from fastntk.device.dispatch import DeviceArray
from fastntk.kernels.cuda import rows


def row_lengths(X: DeviceArray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `fastntk.matrices.rows.measure`: n numbers of each kind come to the host, by one copy."""
    found = empty((3, len(X)), np.float64)
    rows.row_lengths(X, upload(direction), found[0], found[1], found[2])
    squares, lengths, projections = found.copy_to_host()
    return squares, lengths, projections
