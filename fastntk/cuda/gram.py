"""The Gram matrix of a run's patterns on a GPU, copied to the host, where its eigenvalues are found."""

import numpy as np
import numpy.typing as npt

import fastntk.gram_matrix
from fastntk.cuda.operations import sample_products
from fastntk.device_arrays import empty, guard, upload
from fastntk.device_masks import DevicePackedMasks
from fastntk.kernels.cuda.coactivation import gram_from_counts
from fastntk.kernels.cuda.plans import Counting


class GramOfPatterns:
    """As `fastntk.gram_matrix.GramOfPatterns`; weights `a` of several sizes are left to that one."""

    def __init__(self, X: np.ndarray, a: np.ndarray) -> None:
        squares = np.square(a, dtype=np.float64)
        self._host = None
        if (squares != squares[0]).any():
            self._host = fastntk.gram_matrix.GramOfPatterns(X, a)
            return
        with guard():
            self._products = sample_products(upload(X), float(squares[0]))
            self._counts, self._H = empty((len(X), len(X)), np.int64), empty((len(X), len(X)), np.float64)
        self._counting: Counting | None = None

    def __call__(self, masks: DevicePackedMasks, out: np.ndarray | None = None) -> npt.NDArray[np.float64]:
        """The Gram matrix of a pattern with the samples' n rows, in ``out`` if given."""
        if self._host is not None:
            return self._host(masks.to_host(), out)
        with guard():
            if self._counting is None:
                self._counting = Counting(masks.shape[0], masks.bits.shape[1])
            self._counting.counts(masks.bits.view(np.uint32), self._counts)
            gram_from_counts(self._products, self._counts, float(masks.shape[1]), self._H)
            return np.asarray(self._H.copy_to_host(out))
