"""Lengths of samples on a GPU, and the warning about those that make a Gram matrix singular."""

import functools
from typing import Any

import numpy as np

from fastntk.device.arrays import empty, upload, zeros
from fastntk.kernels.cuda.conversion import convert
from fastntk.kernels.cuda.plans import Products
from fastntk.kernels.cuda.rows import row_lengths
from fastntk.matrices import rows


def in_precision(samples: Any, dtype: np.dtype) -> Any:
    """The samples in that precision, themselves if they have it."""
    if samples.dtype == dtype:
        return samples
    converted = empty(tuple(samples.shape), dtype)
    convert(samples, converted, zeros(2, np.int32))
    return converted


def measure(samples: Any, name: str) -> rows.Lengths:
    """As `fastntk.matrices.rows.measure`: n numbers of each kind come to the host."""
    n, d = samples.shape
    squares, lengths, projections = empty(n, np.float64), empty(n, np.float64), empty((n, 1), np.float64)
    row_lengths(samples, squares, lengths)
    Products().nt(
        in_precision(samples, np.dtype(np.float64)), upload(rows.direction(d)[np.newaxis]), projections
    )
    found = rows.Lengths(*(values.copy_to_host().reshape(n) for values in (squares, lengths, projections)))
    rows.require_finite_squares(found, name)
    return found


class RowsThere:
    """Rows of a matrix on a GPU, which comes to the host when some of them are first looked at."""

    def __init__(self, samples: Any) -> None:
        self.shape = tuple(samples.shape)
        self._samples = samples

    @functools.cached_property
    def _here(self) -> np.ndarray:
        return np.asarray(self._samples.copy_to_host())

    def __getitem__(self, which: np.ndarray) -> np.ndarray:
        return self._here[which]
