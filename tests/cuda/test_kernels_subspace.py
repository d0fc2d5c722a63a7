"""Kernels of the subspace iteration and of symmetric matrices against NumPy, at sizes beyond a block's threads."""

import numpy as np
import pytest

from fastntk.kernels.cuda import subspace, symmetric


@pytest.fixture
def numbers():
    return np.random.default_rng(8).standard_normal


@pytest.mark.parametrize(
    ("n", "first", "count", "subtracted"), [(35, 0, 8, False), (8, 2, 1, True), (33, 1, 3, True)]
)
def test_products(numbers, there, n, first, count, subtracted):
    H, R, V = numbers((2, n, n)), numbers((n, n)), numbers((2, 9, n))
    out = there(np.full(V.shape, 7.0))
    subspace.products(there(H), there(R), subtracted, there(V), first, count, out)
    expected = np.full(V.shape, 7.0)
    chosen = slice(first, first + count)
    expected[:, chosen] = np.einsum("bij,bqj->bqi", H - R if subtracted else H, V[:, chosen])
    assert np.abs(out.copy_to_host() - expected).max() < 1e-13 * n


def test_orthonormal_vectors_and_what_adds_nothing(numbers, there):
    n, size = 261, 9
    V = np.zeros((2, size + 3, n))
    V[:, :size] = np.linalg.qr(numbers((n, size)))[0].T
    Z = 1e-9 * numbers((2, 3, n))
    Z[0, 1] = 3.0 * V[0, 0] - V[0, 8] + Z[0, 0]  # nothing new
    Z[1, 0] = 0.0
    Z[1, 2] = V[1, 3] + 1e-8 * numbers(n)  # to take out once is not enough
    found, kept = there(V), there(np.ones((2, size + 3), dtype=np.int32))
    subspace.orthonormalise(there(Z), 3, found, size, kept)
    kept, found = kept.copy_to_host(), found.copy_to_host()
    assert kept[:, size:].tolist() == [[1, 0, 1], [0, 1, 1]]
    assert kept[:, :size].all()
    for b in range(2):
        assert not found[b, kept[b] == 0].any()
        basis = found[b, kept[b] == 1]
        assert np.abs(basis @ basis.T - np.eye(len(basis))).max() < 1e-14
        outside = Z[b] - (Z[b] @ basis.T) @ basis
        assert np.abs(outside).max() < 1e-14 * np.abs(Z[b]).max()


def test_projection_compression_and_residuals(numbers, there):
    n, size, p = 259, 10, 3
    V, images, values = numbers((2, 12, n)), numbers((2, 12, n)), numbers((2, 8))
    C = numbers((2, p, size))
    G = there(np.zeros((2, 12, 12)))
    subspace.projected(there(V), there(images), size, G)
    expected = np.einsum("bic,bjc->bij", V, images)[:, :size, :size]
    assert np.abs(G.copy_to_host()[:, :size, :size] - expected).max() < 1e-12
    compressed = there(V)
    subspace.compress(there(C), size, compressed)
    expected = V.copy()
    expected[:, :p] = C @ V[:, :size]
    assert np.abs(compressed.copy_to_host() - expected).max() < 1e-13
    Z, norms = there(np.zeros((2, 2, n))), there(np.zeros((2, 8)))
    subspace.residuals(there(values), there(V), there(images), 4, 2, Z, norms)
    expected = images[:, 4:6] - values[:, :2, np.newaxis] * V[:, 4:6]
    assert np.abs(Z.copy_to_host() - expected).max() < 1e-14
    assert np.allclose(norms.copy_to_host()[:, :2], np.linalg.norm(expected, axis=2), rtol=1e-14)
    quotients, norms = there(np.zeros((2, 2))), there(np.zeros((2, 2)))
    subspace.quotients(there(V), there(images), 2, quotients, norms)
    squares = np.einsum("bqi,bqi->bq", V, V)[:, :2]
    expected = np.einsum("bqi,bqi->bq", V, images)[:, :2] / squares
    assert np.allclose(quotients.copy_to_host(), expected, rtol=1e-13)
    left = np.linalg.norm(images[:, :2] - expected[:, :, np.newaxis] * V[:, :2], axis=2)
    assert np.allclose(norms.copy_to_host(), left / np.sqrt(squares), rtol=1e-13)


@pytest.mark.parametrize("n", [3, 65])
def test_symmetric_matrices(numbers, there, n):
    A = numbers((n, n))
    shares = there(np.zeros((symmetric.blocks(n * n), 2)))
    symmetric.asymmetry(there(A), shares)
    assert shares.copy_to_host().max(axis=0).tolist() == [np.abs(A - A.T).max(), np.abs(A).max()]
    out = there(np.zeros((n, n)))
    symmetric.symmetrise(there(A), out)
    assert np.array_equal(out.copy_to_host(), (A + A.T) / 2)
    symmetric.shifted(there(A), -1.0, 0.5, out)
    assert np.array_equal(out.copy_to_host(), -A - 0.5 * np.eye(n))
    symmetric.transpose(there(A), out)
    assert np.array_equal(out.copy_to_host(), A.T)
    entries = there(np.zeros(n))
    symmetric.diagonal(there(A), entries)
    assert np.array_equal(entries.copy_to_host(), A.diagonal())
    order = np.random.default_rng(1).permutation(n)
    symmetric.columns(there(A), there(order), out)
    peaks = np.take_along_axis(A, np.abs(A).argmax(axis=1)[:, np.newaxis], axis=1)
    assert np.array_equal(out.copy_to_host(), (A * np.sign(peaks))[order].T)
    symmetric.scale_rows(there(A), there(A[0]), out)
    assert np.array_equal(out.copy_to_host(), A * A[0][:, np.newaxis])


def test_sizes_of_a_batch(numbers, there):
    from fastntk.cuda.spectra.dense import sizes

    H, before = numbers((3, 70, 70)), numbers((70, 70))
    norms, changes = sizes(there(H), there(before))
    assert np.allclose(norms, np.linalg.norm(H, axis=(1, 2)), rtol=1e-14)
    assert np.allclose(
        changes, np.linalg.norm(np.diff(H, axis=0, prepend=before[None]), axis=(1, 2)), rtol=1e-14
    )
