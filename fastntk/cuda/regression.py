"""Products of a matrix on a GPU for `fastntk.kernel_regression`, whose vectors stay on the host.

A step of conjugate gradients needs its scalars on the host before the next product, so it waits for the device in any
case; the vectors that go along, 16 n q bytes for q sets of labels, cost less than reading the matrix while q < n / 200.
"""

from typing import Any

import numpy as np

from fastntk.cuda.spectra.dense import images_of, symmetric_matrix
from fastntk.device.arrays import empty, give_back, guard, library_of, upload
from fastntk.kernels.cuda.symmetric import diagonal
from fastntk.spectra.preconditioning import Product


def products(H: Any) -> tuple[Product, int, np.ndarray]:
    """Products with vectors (n, q) of the host, the size of H, and its diagonal."""
    matrix = symmetric_matrix(H, "H")
    n = len(matrix)
    entries = empty(n, np.float64)
    diagonal(matrix, entries)

    def multiply(block: np.ndarray) -> np.ndarray:
        with guard():
            images = images_of(matrix, upload(block.T)).copy_to_host()
        return np.ascontiguousarray(images.T)

    return multiply, n, entries.copy_to_host()


def like(values: np.ndarray, example: Any) -> Any:
    """`values` on the GPU, as an array of the library of `example`."""
    return give_back(upload(values), library_of(example))
