"""One pass over two matrices against NumPy, at sizes around vectors and rows of a task."""

import numpy as np
import pytest

from fastntk.kernels.cpu.differences import add
from fastntk.spectra.difference import difference, single_matrix


@pytest.mark.parametrize("n", [1, 3, 4, 15, 16, 17, 128, 129, 200])
def test_difference(n, rng):
    H, A = rng.standard_normal((2, n, n))
    out = single_matrix(n)
    *norms, apart = difference(H, A, out)
    np.testing.assert_allclose(norms, [np.linalg.norm(H), np.linalg.norm(A)], rtol=1e-13)
    np.testing.assert_array_equal(out[:, :n], (H - A).astype(np.float32))
    assert not out[:, n:].any()
    assert np.linalg.norm(H - A) <= apart
    assert apart == pytest.approx(np.linalg.norm(H - A), rel=1e-8)
    assert difference(H, A) == (*norms, apart)
    twice = out.copy()
    add(twice, out)
    np.testing.assert_array_equal(twice, 2.0 * out)
