"""Gram operators: the products of the stored matrix, without the matrix."""

import threading

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg

import fastntk
from fastntk.matrices import operators


def points(rng, n, d=7):
    return rng.standard_normal((n, d)) * rng.uniform(0.2, 3.0, (n, 1))


def close(found, expected, scale):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-13 * scale


@pytest.fixture
def edge(monkeypatch):
    """Blocks of at most 32 rows, so that small matrices have many of them."""
    monkeypatch.setattr(operators, "_EDGE", 32)
    monkeypatch.setattr(operators, "_ROWS", 8)
    return 32


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 64, 65, 127, 260])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_equal_those_of_the_matrix(rng, edge, n, dtype):
    X, V = points(rng, n), rng.standard_normal((n, 3))
    H = fastntk.limit_gram(X, dtype=dtype).astype(np.float64)
    operator = fastntk.gram_operator(X, dtype=dtype)
    # entries of blocks may be rounded differently from those of the whole
    scale = np.abs(H).sum(axis=1).max() * (1.0 if dtype == "float64" else 2e6)
    assert isinstance(operator, LinearOperator)
    assert (operator.shape, operator.dtype, operator.symmetric) == ((n, n), np.float64, True)
    close(operator @ V, H @ V, scale)
    close(operator.matvec(V[:, 0]), H @ V[:, 0], scale)
    close(operator @ V[:, :1], H @ V[:, :1], scale)
    close(operator.rmatvec(V[:, 0]), H @ V[:, 0], scale)
    close(operator.rmatmat(V), H @ V, scale)
    close(operator.T @ V, H @ V, scale)
    assert operator.H is operator
    np.testing.assert_allclose(operator.diagonal(), H.diagonal(), rtol=1e-15)
    assert operator.diagonal().dtype == np.float64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_operator_is_exactly_linear_and_symmetric(rng, edge, dtype):
    """Applied to unit vectors it shows its entries: symmetric to the bit, and what is multiplied in every product."""
    n = 75
    operator = fastntk.gram_operator(points(rng, n), dtype=dtype)
    H = operator @ np.eye(n)
    assert np.array_equal(H, H.T)
    assert np.array_equal(H, H.astype(dtype))
    assert np.array_equal(H.diagonal(), operator.diagonal())
    V = rng.standard_normal((n, 4))
    close(operator @ V, H @ V, np.abs(H).sum(axis=1).max())


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 2), (70, 31), (64, 128)])
def test_two_sets_of_points(rng, edge, shape):
    n, k = shape
    X, Z = points(rng, n), points(rng, k)
    K = fastntk.limit_gram(X, Z)
    operator = fastntk.gram_operator(X, Z)
    scale = np.abs(K).sum() / min(shape)
    V, U = rng.standard_normal((k, 3)), rng.standard_normal((n, 3))
    assert (operator.shape, operator.symmetric) == (shape, False)
    close(operator @ V, K @ V, scale)
    close(operator @ V[:, 0], K @ V[:, 0], scale)
    close(operator.rmatmat(U), K.T @ U, scale)
    close(operator.rmatvec(U[:, 0]), K.T @ U[:, 0], scale)
    close(operator.T @ U, K.T @ U, scale)
    close(operator.H @ U, K.T @ U, scale)
    close(operator.T.T @ V, K @ V, scale)
    with pytest.raises(ValueError, match="one set of points"):
        operator.diagonal()


@pytest.mark.parametrize("n", [1023, 1024, 1025])
def test_full_size_blocks(rng, n):
    X, v = points(rng, n, 3), rng.standard_normal(n)
    H = fastntk.limit_gram(X, layers="both")
    close(fastntk.gram_operator(X, layers="both") @ v, H @ v, np.abs(H).sum(axis=1).max())


def test_blocks_cover_the_matrix_once():
    for shape in [(1, 1), (5, 3000), (1024, 1024), (1025, 2049), (3333, 1)]:
        seen = np.zeros(shape, dtype=np.int8)
        for rows, columns in operators._blocks(shape, symmetric=False):
            assert rows.stop - rows.start <= 1024 >= columns.stop - columns.start
            seen[rows, columns] += 1
        assert (seen == 1).all()
    seen = np.zeros((2500, 2500), dtype=np.int8)
    for rows, columns in operators._blocks(seen.shape, symmetric=True):
        seen[rows, columns] += 1
        if rows != columns:
            seen[columns, rows] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("layers", ["first", "second", "both"])
def test_finite_width(rng, edge, layers):
    X, Z, W = points(rng, 150, 5), points(rng, 40, 5), rng.standard_normal((200, 5))
    v, u = rng.standard_normal(150), rng.standard_normal(40)
    for network in ({"W": W}, {"W": W, "a": rng.standard_normal(200)}, {"width": 300, "seed": 4}):
        H, K = fastntk.gram(X, layers=layers, **network), fastntk.gram(X, Z=Z, layers=layers, **network)
        operator = fastntk.gram_operator(X, layers=layers, **network)
        exact = 1.0 if "W" in network else 2e6  # drawn neurons are float32, and so are their activations
        close(operator @ v, H @ v, np.abs(H).sum(axis=1).max() * exact)
        np.testing.assert_allclose(operator.diagonal(), H.diagonal(), rtol=1e-13 * exact)
        cross = fastntk.gram_operator(X, Z, layers=layers, **network)
        close(cross @ u, K @ u, np.abs(K).sum() * exact)
        close(cross.T @ v, K.T @ v, np.abs(K).sum() * exact)


def test_masks(rng, edge):
    X, Z, W = points(rng, 70, 5), points(rng, 40, 5), rng.standard_normal((200, 5))
    v, u = rng.standard_normal(70), rng.standard_normal(40)
    left, right = (fastntk.activation_masks(samples, W) for samples in (X, Z))
    H, K = fastntk.gram(X, masks=left), fastntk.gram(X, Z=Z, masks=(left, right))
    close(fastntk.gram_operator(X, masks=left) @ v, H @ v, np.abs(H).sum())
    close(fastntk.gram_operator(X, Z, masks=(left, right)) @ u, K @ u, np.abs(K).sum())
    close(fastntk.gram_operator(X, masks=left, dtype="float32") @ v, H @ v, 2e6 * np.abs(H).sum())


def test_depth_and_scale(rng, edge):
    X, v = points(rng, 70), rng.standard_normal(70)
    H = fastntk.limit_gram(X, layers="both", depth=3, scale=2**0.5)
    close(fastntk.gram_operator(X, layers="both", depth=3, scale=2**0.5) @ v, H @ v, 3 * np.abs(H).sum())


def test_not_a_number_spreads_as_in_numpy(rng, edge):
    X, V = points(rng, 80), rng.standard_normal((80, 2))
    V[3, 0] = np.nan
    found = fastntk.gram_operator(X) @ V
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1]).all()
    V[3, 0] = np.inf
    assert not np.isfinite(fastntk.gram_operator(X) @ V[:, 0]).any()


def test_pooled_and_serial_blocks_agree(rng, edge, monkeypatch):
    X, V = points(rng, 500), rng.standard_normal((500, 2))
    operator = fastntk.gram_operator(X)
    expected = operator @ V
    monkeypatch.setattr(operators, "kernel_threads", lambda: _Threads(3))
    monkeypatch.setattr(operators, "threading_layer", lambda: "tbb")
    assert np.array_equal(operator @ V, expected)
    monkeypatch.setattr(operators, "threading_layer", lambda: "workqueue")
    assert np.array_equal(operator @ V, expected)


class _Threads:
    """As many threads as a test wants, of a machine that may have one."""

    def __init__(self, count):
        self.count = count

    def __enter__(self):
        return self.count

    def __exit__(self, *error):
        return None


def test_an_error_in_a_block_comes_out(rng, edge, monkeypatch):
    operator = fastntk.gram_operator(points(rng, 500))
    operator @ np.ones(500)

    def fill(rows, columns, out):
        raise OSError("no such block")

    monkeypatch.setattr(operator.source, "fill", fill)
    for threads in (1, 3):
        monkeypatch.setattr(operators, "kernel_threads", lambda count=threads: _Threads(count))
        with pytest.raises(OSError, match="no such block"):
            operator @ np.ones(500)


def test_two_threads_at_once(rng, edge):
    X = points(rng, 400)
    operator = fastntk.gram_operator(X)
    vectors = rng.standard_normal((2, 400))
    expected = [operator @ v for v in vectors]
    found = [[], []]

    def work(which):
        for _ in range(6):
            found[which].append(operator @ vectors[which])

    workers = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for which in range(2):
        assert len(found[which]) == 6
        assert all(np.array_equal(u, expected[which]) for u in found[which])


def test_scipy_and_composition(rng, edge):
    X, y = points(rng, 90), rng.standard_normal(90)
    operator = fastntk.gram_operator(X)
    H = fastntk.limit_gram(X)
    assert aslinearoperator(operator) is operator
    found, info = cg(operator, y, rtol=1e-12, maxiter=2000)
    assert info == 0
    np.testing.assert_allclose(H @ found, y, atol=1e-9)
    shifted = 2.0 * operator + aslinearoperator(np.eye(90))
    np.testing.assert_allclose(shifted @ y, 2.0 * H @ y + y, atol=1e-11)
    assert (operator @ list(range(90))).shape == (90,)
    assert (operator @ np.arange(90)).dtype == np.float64


def test_bad_vectors():
    operator = fastntk.gram_operator([[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match=r"(?i)dimension mismatch"):
        operator @ np.ones(3)
    with pytest.raises(TypeError, match="multiplies real numbers"):
        operator.matvec(np.ones(2, dtype=complex))
    with pytest.raises(TypeError, match="multiplies real numbers"):
        operator @ np.array(["a", "b"])


def test_memory_of_a_product(python):
    """No more than some blocks for each thread, where the matrix would take 512 MiB."""
    script = """
import json, resource
import numpy as np, fastntk
X = np.random.default_rng(0).standard_normal((8192, 3))
fastntk.gram_operator(X[:100]) @ np.ones(100)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fastntk.gram_operator(X) @ np.ones((8192, 2))
print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))
"""
    assert python(script) < 150
