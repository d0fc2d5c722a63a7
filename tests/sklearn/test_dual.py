"""The dual system of kernel ridge regression, also where it is singular."""

import numpy as np
import pytest
from scipy import linalg

from fastntk.sklearn.dual import dual_coefficients


@pytest.mark.parametrize("alpha", [1e-8, 1.0])
def test_dual_system(alpha, rng):
    n = 30
    A = rng.standard_normal((n, n))
    K, Y = A @ A.T, rng.standard_normal((n, 2))
    want = np.linalg.solve(K + alpha * np.eye(n), Y)
    np.testing.assert_allclose(dual_coefficients(K, Y, alpha), want, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 7, 20])
def test_singular_systems_get_the_least_norm_solution(rank, rng):
    A, Y = rng.standard_normal((25, rank)), rng.standard_normal((25, 3))
    K = A @ A.T
    with pytest.warns(linalg.LinAlgWarning, match="plus alpha = 0 on the diagonal is singular to working"):
        found = dual_coefficients(K.copy(), Y, 0.0)
    np.testing.assert_allclose(found, np.linalg.pinv(K, rcond=1e-12, hermitian=True) @ Y, rtol=0, atol=1e-8)


def test_no_kernel_at_all():
    with pytest.warns(linalg.LinAlgWarning, match=r"\(reciprocal condition number 0.0e\+00\)"):
        assert not dual_coefficients(np.zeros((3, 3)), np.ones((3, 1)), 0.0).any()
