"""Gram matrices at finite width of points on a GPU: weights and patterns, cut in every way, into every target."""

import numpy as np
import pytest

import fastntk
from fastntk import reference
from fastntk.compilation.jit_cuda import cuda
from fastntk.cuda.matrices import finite, passes
from fastntk.device import driver
from fastntk.device.masks import DevicePackedMasks
from fastntk.kernels.cuda import plans
from fastntk.matrices.passes import terms_of

N, K, D, M = 13, 5, 3, 70
pytestmark = pytest.mark.usefixtures("quick_products")


def host(array):
    return np.asarray(array.copy_to_host())


@pytest.fixture
def cut(monkeypatch):
    """Pieces of 64 neurons."""
    monkeypatch.setattr(passes, "_UNIT", 64)
    monkeypatch.setattr(passes, "COUNTED_BYTES", 1)
    monkeypatch.setattr(passes, "PART", 32)


def weights_of(p, equal):
    return p.a if equal else p.a * np.linspace(0.5, 2.0, M)


@pytest.mark.parametrize(
    ("layers", "equal"), [("first", True), ("first", False), ("second", True), ("both", False)]
)
def test_integers_are_exact_however_they_are_cut(problem, there, cut, layers, equal):
    """Small integers: nothing is rounded but the division by m, and what weights multiply."""
    p, q = problem(N, D, M, integers=True), problem(K, D, M, integers=True)
    p.X[:, 0], p.X[:, 1:] = 1, np.stack((np.arange(N) % 5, np.arange(N) // 5), axis=1)  # no parallel rows
    a = weights_of(p, equal)
    X, W, Z, there_a = there(p.X), there(p.W), there(q.X), None if equal else there(a)
    expected, cross = (reference.cross_gram(p.X, other, p.W, a, layers=layers) for other in (p.X, q.X))
    H, C = (host(fastntk.gram(X, W, there_a, other, layers=layers)) for other in (None, Z))
    assert np.array_equal(H, H.T)
    bound = 0 if equal else 1e-14
    for found, wanted in ((H, expected), (C, cross)):
        assert found.shape == wanted.shape
        assert (np.abs(found - wanted) <= bound * np.abs(wanted).max()).all()


@pytest.mark.parametrize("layers", ["first", "both"])
def test_of_a_long_piece_nothing_stays_for_a_short_one(problem, there, monkeypatch, layers):
    monkeypatch.setattr(passes, "_UNIT", 128)
    monkeypatch.setattr(passes, "COUNTED_BYTES", 1)
    monkeypatch.setattr(passes, "PART", 64)
    p = problem(2, 2, 150, integers=True)
    p.X[:] = [[1, 2], [2, 1]]
    H = host(fastntk.gram(there(p.X), there(p.W), layers=layers))
    assert np.allclose(H, reference.cross_gram(p.X, p.X, p.W, layers=layers), rtol=1e-15, atol=0)


@pytest.mark.parametrize("equal", [True, False])
def test_known_patterns(problem, there, cut, equal):
    """Packed, or as booleans; of two sets a pair."""
    p, q = problem(N, D, M), problem(K, D, M)
    a, left, right = weights_of(p, equal), p.X @ p.W.T >= 0, q.X @ p.W.T >= 0
    there_a = None if equal else there(a)
    X, Z = there(p.X), there(q.X)
    expected = reference.gram(p.X, left, a)
    for masks in (DevicePackedMasks.from_host(fastntk.PackedMasks.from_dense(left)), there(left)):
        H = host(fastntk.gram(X, a=there_a, masks=masks))
        assert np.array_equal(H, H.T)
        assert np.allclose(H, expected, rtol=1e-14, atol=1e-16)
    found = host(fastntk.gram(X, None, there_a, Z, masks=(there(left), there(right))))
    assert np.allclose(found, fastntk.gram(p.X, None, a, q.X, masks=(left, right)), rtol=1e-14, atol=1e-16)


def test_two_patterns_of_the_same_points_are_not_symmetric(problem, there):
    p = problem(4, D, M)
    X, masks = there(p.X), np.random.default_rng(0).random((2, 4, M)) < 0.5
    expected = p.X @ p.X.T * (masks[0].astype(int) @ masks[1].T) / M
    assert np.allclose(host(fastntk.gram(X, Z=X, masks=tuple(map(there, masks)))), expected, rtol=1e-13)
    assert np.allclose(fastntk.gram(p.X, Z=p.X, masks=tuple(masks)), expected, rtol=1e-13)


def test_boolean_patterns_everywhere(problem, there):
    dense, other = np.random.default_rng(0).random((2, 9, 70)) < 0.5
    assert np.array_equal(
        host(fastntk.coactivation_counts(there(dense))), reference.coactivation_counts(dense)
    )
    assert fastntk.flip_count(there(dense), there(other)) == (dense != other).sum()
    assert fastntk.flip_fraction(there(dense), there(other)) == (dense != other).mean()


def test_counts_in_pieces(there, monkeypatch):
    monkeypatch.setattr(passes, "_UNIT", 64)
    monkeypatch.setattr(passes, "COUNTED_BYTES", 1)
    dense = np.random.default_rng(0).random((17, 200)) < 0.5
    assert np.array_equal(
        host(fastntk.coactivation_counts(there(dense))), reference.coactivation_counts(dense)
    )


def test_targets(problem, there):
    """The same bits in an array that is given; progress says when it is there."""
    p, dtype, seen = problem(N, D, 20), "float32", []
    X, W, target = there(p.X), there(p.W), there(np.zeros((N, N), "float32"))
    expected = host(fastntk.gram(X, W, dtype=dtype))
    found = fastntk.gram(X, W, dtype=dtype, out=target, progress=lambda *share: seen.append(share))
    assert found is target
    assert np.array_equal(host(target), expected)
    assert seen == [(N * N, N * N)]


def test_targets_are_refused_by_name(problem, there):
    p = problem(4, D, M)
    X, W = there(p.X), there(p.W)
    for target, error, message in (
        (
            there(np.zeros((4, 5))),
            ValueError,
            r"^out must have shape \(4, 4\) and dtype float64, got shape \(4, 5\)",
        ),
        (there(np.zeros((4, 4), np.float32)), ValueError, "^out must have shape .* and dtype float32$"),
        (there(np.zeros((4, 8)))[:, ::2], ValueError, "^out must be C-contiguous and writeable$"),
        (np.zeros((4, 8))[:, ::2], ValueError, "^out must be C-contiguous and writeable$"),
        ("H.txt", ValueError, r"^out must be a file name ending in"),
        ([], TypeError, "^out must be a NumPy array"),
    ):
        with pytest.raises(error, match=message):
            fastntk.gram(X, W, out=target)
    with pytest.raises(TypeError, match=r"^out must be a NumPy array .* got "):
        fastntk.gram(p.X, p.W, out=there(np.zeros((4, 4))))


def test_products_that_are_not_symmetric_to_the_last_bit(problem, there, monkeypatch):
    """As a vendor's need not be: the lower half counts."""
    multiply = plans.Products.nt

    def tilted(self, A, B, out):
        multiply(self, A, B, out)
        values = out.copy_to_host()
        out.copy_to_device(
            np.where(np.triu(np.ones(out.shape, bool), 1), 1.5 * values, values).astype(values.dtype)
        )

    p = problem(5, D, M)
    X, a, expected = there(p.X), weights_of(p, False), fastntk.gram(p.X, p.W)
    masks = fastntk.activation_masks(X, there(p.W))
    monkeypatch.setattr(plans.Products, "nt", tilted)
    for H, wanted in (
        (fastntk.gram(X, masks=masks), expected),
        (fastntk.gram(X, masks=masks, a=there(a)), fastntk.gram(p.X, p.W, a)),
        (fastntk.limit_gram(X, layers="both"), fastntk.limit_gram(p.X, layers="both")),
    ):
        assert np.array_equal(host(H), host(H).T)
        assert np.allclose(host(H), wanted, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("m", [1, 64, 65])
def test_one_point(there, m):
    X, W = np.array([[3.0, 4.0]]), np.ones((m, 2))
    W[0] = -1.0
    expected = 25.0 * (m - 1) / m
    assert host(fastntk.gram(there(X), there(W))) == [[expected]]
    assert host(fastntk.gram(there(X), there(W), Z=there(X[:, ::-1])))[0, 0] == 24.0 * (m - 1) / m
    assert host(fastntk.limit_gram(there(X))) == [[12.5]]


def test_what_does_not_fit_says_how_it_would(problem, there, monkeypatch):
    p = problem(64, D, M)
    X, W = there(p.X), there(p.W)
    monkeypatch.setattr(driver, "available_bytes", lambda: 8.0 * 64 * 64)
    with pytest.raises(fastntk.MemoryLimitError, match=r"^the 64 x 64 Gram .* out= an array in host memory"):
        fastntk.gram(X, W)


@pytest.mark.parametrize("network", ["W", "W and a", "both layers", "masks"])
@pytest.mark.parametrize("two", [False, True])
def test_no_more_is_taken_than_was_announced(problem, there, monkeypatch, network, two):
    p = problem(N, D, M, np.float32)
    X, W = there(p.X), there(p.W)
    Z = there(p.X[:K]) if two else X
    pattern = fastntk.activation_masks(X, W)
    patterns = (pattern, fastntk.activation_masks(Z, W)) if two else (pattern, pattern)
    terms = terms_of("both" if network == "both layers" else "first", weights_of(p, network != "W and a"))
    neurons, taken, out = patterns if network == "masks" else W, [0], there(np.zeros((N, K if two else N)))

    def counted(function):
        def allocate(*arguments, **options):
            found = function(*arguments, **options)
            taken[0] += found.nbytes
            return found

        return allocate

    monkeypatch.setattr(cuda, "device_array", counted(cuda.device_array))
    monkeypatch.setattr(cuda, "to_device", counted(cuda.to_device))
    announced = finite.scratch_bytes(X, Z, neurons, terms)
    finite.gram(X, Z, neurons, terms, np.dtype(np.float64), out)
    assert 0 < taken[0] <= announced + 64  # flags of conversions
