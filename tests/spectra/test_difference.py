"""One pass over two matrices against NumPy, at sizes around vectors and ranges of the kernel."""

import numpy as np
import pytest

from fastntk.spectra.difference import difference


@pytest.mark.parametrize("n", [1, 3, 4, 15, 17, 128, 129, 200])
def test_difference(n, rng):
    H, A = rng.standard_normal((2, n, n))
    out = np.empty((n, n), np.float32)
    found = difference(H, A, out)
    np.testing.assert_allclose(found.norms, [np.linalg.norm(H), np.linalg.norm(A)], rtol=1e-13)
    np.testing.assert_array_equal(out, (H - A).astype(np.float32))
    assert np.linalg.norm(H - A) <= found.frobenius
    assert found.frobenius == pytest.approx(np.linalg.norm(H - A), rel=1e-8)
    change = (H - A + (H - A).T) / 2.0
    assert difference(change, 0.0 * A).lowest <= np.linalg.eigvalsh(change)[0]
