"""gram at finite width: both layers, a second set of points, weights, any block, every kind of input array."""

import numpy as np
import pytest

import fastntk
from fastntk import reference
from fastntk.kernels.cpu.gram_sums import PART, ROWS
from fastntk.matrices import passes as gram_passes
from fastntk.matrices.finite import gram_source

# Small integers repeat rows, and rows of zeros are among them.
pytestmark = pytest.mark.filterwarnings("ignore::fastntk.SingularGramWarning")

SIZES = (1, 2, 63, 64, 65, 127)
LAYERS = ("first", "second", "both")
DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_exact_on_integers(n, dtype, problem):
    """All sums are of small integers: only the division by m rounds, once for each layer."""
    for k, m in zip(SIZES[::-1], (1, 2, 63, 64, 65, PART + 127), strict=True):
        p, q = problem(n, 3, m, dtype, integers=True), problem(k, 3, 1, dtype, integers=True)
        a = np.arange(m) % 4 - 2
        for layers in LAYERS:
            for weights in (None, p.a, a):
                expected = reference.cross_gram(p.X, q.X, p.W, weights, layers)
                found = fastntk.gram(p.X, p.W, weights, q.X, layers=layers)
                assert np.array_equal(found, expected), (n, k, m, layers)
                square = fastntk.gram(p.X, p.W, weights, layers=layers)
                assert np.array_equal(square, reference.cross_gram(p.X, p.X, p.W, weights, layers))


def test_the_square_matrix_is_the_tangent_kernel(problem):
    p = problem(ROWS + 9, 4, 3 * PART + 5)
    for layers in LAYERS:
        found = fastntk.gram(p.X, p.W, p.a, layers=layers)
        assert np.array_equal(found, found.T)
        expected = reference.tangent_gram(p.X, p.W, p.a, layers)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
        assert np.linalg.eigvalsh(found)[0] >= -1e-14


def test_single_precision(problem):
    """Outputs are rounded to 2^-24 of themselves and their products summed over 512: both stay near 1e-7."""
    p = problem(200, 30, 5000, np.float32)
    exact = reference.second_gram(p.X.astype(float), p.W.astype(float))
    found = fastntk.gram(p.X, p.W, layers="second")
    assert np.abs(found / exact - 1).max() < 3e-6
    for layers in LAYERS:
        single = fastntk.gram(p.X, p.W, layers=layers, dtype="float32")
        assert single.dtype == np.float32
        assert np.array_equal(single, single.T)
        assert np.array_equal(single, fastntk.gram(p.X, p.W, layers=layers).astype(np.float32))


def test_tends_to_the_limit(problem):
    """Entries are means of m terms whose standard deviation is below 2 for unit vectors."""
    m = 40000
    p, q = problem(20, 5, m), problem(13, 5, 1)
    for layers in LAYERS:
        distance = fastntk.gram(p.X, p.W, Z=q.X, layers=layers) - fastntk.limit_gram(p.X, q.X, layers=layers)
        assert np.abs(distance).max() <= 5 * 2 / np.sqrt(m)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_any_block(layers, weighted, problem, rng):
    p, q = problem(390, 5, 700, integers=True), problem(95, 5, 1, integers=True)
    a = np.arange(700) % 3 if weighted else None
    for others in (None, q.X):
        source = gram_source(p.X, p.W, a, others, layers=layers)
        whole = fastntk.gram(p.X, p.W, a, others, layers=layers)
        for _ in range(6):
            top, left = (int(rng.integers(0, size)) for size in source.shape)
            rows = slice(top, int(rng.integers(top + 1, source.shape[0] + 1)))
            columns = slice(left, int(rng.integers(left + 1, source.shape[1] + 1)))
            pairs = [(rows, columns), (rows, rows)] if others is None else [(rows, columns)]
            for down, across in pairs:
                block = np.full((down.stop - down.start, across.stop - across.start), np.nan)
                source.fill(down, across, block)
                assert np.array_equal(block, whole[down, across])
        if others is None:
            assert np.array_equal(source.diagonal(), whole.diagonal())


@pytest.mark.parametrize("weighted", [False, True])
def test_known_patterns(weighted, problem, rng, monkeypatch):
    monkeypatch.setattr(gram_passes, "_PIECE_BYTES", 1)  # weighted sums in pieces of 512 neurons
    p, q = problem(170, 5, 1300, integers=True), problem(45, 5, 1, integers=True)
    a = rng.integers(-2, 3, 1300) if weighted else None
    masks = fastntk.activation_masks(p.X, p.W), fastntk.activation_masks(q.X, p.W)
    H = fastntk.gram(p.X, a=a, masks=masks[0])
    assert np.array_equal(H, fastntk.gram(p.X, p.W, a))
    cross = fastntk.gram(p.X, None, a, q.X, masks=masks)
    assert np.array_equal(cross, fastntk.gram(p.X, p.W, a, q.X))
    source = gram_source(p.X, None, a, q.X, masks=(masks[0].to_dense(), masks[1]))
    block = np.empty((70, 33))
    source.fill(slice(37, 107), slice(11, 44), block)
    assert np.array_equal(block, cross[37:107, 11:44])
    assert np.array_equal(gram_source(p.X, a=a, masks=masks[0]).diagonal(), H.diagonal())


def test_a_place_for_the_result(problem):
    p, q = problem(30, 6, 90), problem(20, 6, 1)
    for layers in LAYERS:
        out = np.empty((30, 20))
        assert fastntk.gram(p.X, p.W, p.a, q.X, layers=layers, out=out) is out
        assert np.array_equal(out, fastntk.gram(p.X, p.W, p.a, q.X, layers=layers))


def test_fingerprints_tell_inputs_apart(problem):
    p = problem(9, 3, 20)
    masks = fastntk.activation_masks(p.X, p.W)
    twin = p.W.copy()
    twin[19, 2] += 1e-9
    sources = [
        gram_source(p.X, p.W),
        gram_source(p.X, twin),
        gram_source(p.X, p.W, layers="second"),
        gram_source(p.X, p.W, 2 * p.a),
        gram_source(p.X, p.W, np.arange(20)),
        gram_source(p.X, p.W, Z=p.X.copy()),
        gram_source(p.X, p.W, dtype="float32"),
        gram_source(-p.X, p.W),
        gram_source(p.X, masks=masks),
        gram_source(p.X, width=20),
        gram_source(p.X, width=20, seed=1),
        gram_source(p.X, width=21),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)
    assert gram_source(p.X.copy(), p.W.copy(), p.a).fingerprint() == sources[0].fingerprint()
