"""Gram matrices at finite width of points on a GPU: every source of neurons, cut in every way, into every target."""

import numpy as np
import pytest

import fastntk
from fastntk import reference
from fastntk.compilation.jit_cuda import cuda
from fastntk.cuda.matrices import finite, passes, source
from fastntk.cuda.matrices.neurons import HeldThere
from fastntk.device import arrays as device_arrays
from fastntk.device.masks import DevicePackedMasks
from fastntk.kernels.cuda import plans

N, K, D, M = 13, 5, 3, 70
pytestmark = pytest.mark.usefixtures("quick_products")


def host(array):
    return np.asarray(array.copy_to_host())


@pytest.fixture
def cut(monkeypatch):
    """Blocks of 9 samples, which begin inside a byte of the masks, and pieces of 64 neurons."""
    monkeypatch.setattr(source, "EDGE", 9)
    monkeypatch.setattr(source, "SHARE", 0.0)
    monkeypatch.setattr(passes, "_UNIT", 64)
    monkeypatch.setattr(passes, "COUNTED_BYTES", 1)
    monkeypatch.setattr(passes, "PART", 32)


def weights_of(p, equal):
    return None if equal else p.a * np.linspace(0.5, 2.0, M)


@pytest.mark.parametrize(
    ("layers", "equal", "keep"),
    [("first", True, True), ("first", True, False), ("first", False, True), ("first", False, False),
     ("second", True, False), ("both", False, False)],
)  # fmt: skip
def test_integers_are_exact_however_they_are_cut(problem, there, cut, monkeypatch, layers, equal, keep):
    """Small integers: nothing is rounded but the division by m, and what weights multiply."""
    monkeypatch.setattr(finite, "KEPT_BYTES", 2**32 if keep else 0)
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


def test_neurons_that_pass_by_do_so_once_if_that_fits(problem, there, monkeypatch):
    monkeypatch.setattr(source, "EDGE", 9)
    monkeypatch.setattr(finite, "KEPT_BYTES", 0)
    p, passed, pieces = problem(N, D, M), [], HeldThere.pieces
    monkeypatch.setattr(HeldThere, "pieces", lambda self, size: passed.append(size) or pieces(self, size))
    X, W = there(p.X), there(p.W)
    H = host(fastntk.gram(X, W))
    assert len(passed) == 1
    whole = finite.gram_source(X, W).scratch_bytes(N, N)
    monkeypatch.setattr(device_arrays, "available_bytes", lambda: 2.0 * whole)
    assert np.allclose(host(fastntk.gram(X, W)), H, rtol=1e-14, atol=1e-16)
    assert len(passed) == 1 + 3
    assert np.allclose(host(fastntk.gram_operator(X, W=W) @ there(p.X)), H @ p.X, rtol=1e-12, atol=1e-14)
    assert len(passed) == 4 + 3


@pytest.mark.parametrize("layers", ["first", "both"])
def test_of_a_long_piece_nothing_stays_for_a_short_one(problem, there, monkeypatch, layers):
    monkeypatch.setattr(passes, "_UNIT", 128)
    monkeypatch.setattr(passes, "COUNTED_BYTES", 1)
    monkeypatch.setattr(passes, "PART", 64)
    monkeypatch.setattr(finite, "KEPT_BYTES", 0)
    p = problem(2, 2, 150, integers=True)
    p.X[:] = [[1, 2], [2, 1]]
    H = host(fastntk.gram(there(p.X), there(p.W), layers=layers))
    assert np.allclose(H, reference.cross_gram(p.X, p.X, p.W, layers=layers), rtol=1e-15, atol=0)


def test_fingerprints_tell_matrices_apart(problem, there):
    """What the journal of a file compares: everything that the entries depend on."""
    p, q = problem(4, D, M), problem(4, D, M)
    X, Y, W, V, a, b = (
        there(values) for values in (p.X, q.X, p.W, q.W, p.a * np.arange(M), p.a + np.arange(M))
    )
    masks = fastntk.activation_masks(X, W), fastntk.activation_masks(X, V)

    def digests():
        for args, options in (
            ((X, W), {}), ((Y, W), {}), ((X, V), {}), ((X, W, a), {}), ((X, W, b), {}), ((X, W, None, Y), {}),
            ((X, W), {"layers": "both"}), ((X, W), {"dtype": "float32"}),
            ((X,), {"masks": masks[0]}), ((X,), {"masks": masks[1]}),
            ((X,), {"width": M}), ((X,), {"width": M, "seed": 1}), ((X,), {"width": M + 1}),
        ):  # fmt: skip
            yield finite.gram_source(*args, **options).fingerprint()

    found = list(digests())
    assert len(set(found)) == len(found)
    assert list(digests()) == found


@pytest.mark.parametrize(("dtype", "keep"), [(np.float32, True), (np.float64, False)])
def test_drawn_neurons_are_those_of_the_cpu(problem, there, cut, monkeypatch, dtype, keep):
    monkeypatch.setattr(finite, "KEPT_BYTES", 2**32 if keep else 0)
    p, q = problem(N, D, 1), problem(K, D, 1)
    for Z in (None, q.X):
        found = host(
            fastntk.gram(there(p.X), Z=None if Z is None else there(Z), width=M, seed=3, dtype=dtype)
        )
        expected = fastntk.gram(p.X, Z=Z, width=M, seed=3, dtype=dtype)
        assert found.dtype == dtype
        assert np.allclose(found, expected, rtol=2 * np.finfo(dtype).eps, atol=1e-16)


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


def test_targets(problem, there, cut, tmp_path):
    """The same bits on the device, in memory, and in files."""
    p, dtype = problem(N, D, 20), "float32"
    X, W = there(p.X), there(p.W)
    expected = host(fastntk.gram(X, W, dtype=dtype))
    for target in (there(np.zeros((N, N), dtype)), np.zeros((N, N), dtype)):
        assert fastntk.gram(X, W, dtype=dtype, out=target) is target
        assert np.array_equal(target if isinstance(target, np.ndarray) else host(target), expected)
    assert np.array_equal(fastntk.gram(X, W, dtype=dtype, out=tmp_path / "H.npy"), expected)
    mapped = np.lib.format.open_memmap(tmp_path / "M.npy", "w+", dtype, (N, N))
    assert fastntk.gram(X, W, dtype=dtype, out=mapped) is mapped
    assert np.array_equal(mapped, expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["H.npy", "M.npy"]


def test_progress_counts_what_is_computed(problem, there, cut):
    p, seen = problem(N, D, M), []
    fastntk.gram(there(p.X), there(p.W), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 45 + 36 + 10) for done in (45, 81, 91)]
    seen.clear()
    fastntk.gram(there(p.X[:4]), there(p.W), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(10, 10)]


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


def test_what_does_not_fit_says_how_it_would(problem, there, monkeypatch):
    p = problem(64, D, M)
    X, W = there(p.X), there(p.W)
    monkeypatch.setattr(source, "EDGE", 8)
    monkeypatch.setattr(device_arrays, "available_bytes", lambda: 8.0 * 64 * 64)
    with pytest.raises(fastntk.MemoryLimitError, match=r"^the 64 x 64 Gram .* out= an array in host memory"):
        fastntk.gram(X, W)


@pytest.mark.parametrize(
    ("network", "keep"),
    [("W", True), ("W", False), ("W and a", False), ("both layers", False), ("masks", True), ("width", True)],
)
@pytest.mark.parametrize("two", [False, True])
def test_a_block_takes_no_more_than_was_announced(problem, there, monkeypatch, network, keep, two):
    monkeypatch.setattr(finite, "KEPT_BYTES", 2**32 if keep else 0)
    p = problem(N, D, M, np.float32)
    X, W, Z = there(p.X), there(p.W), there(p.X[:K]) if two else None
    pattern = fastntk.activation_masks(X, W)
    options = {
        "W": {"W": W}, "W and a": {"W": W, "a": there(weights_of(p, False))}, "both layers": {"W": W, "layers": "both"},
        "masks": {"masks": (pattern, fastntk.activation_masks(Z, W)) if two else pattern}, "width": {"width": M},
    }[network]  # fmt: skip
    gram, taken = finite.gram_source(X, Z=Z, **options), [0]
    shape, out = gram.shape, there(np.zeros(gram.shape))

    def counted(function):
        def allocate(*arguments, **options):
            found = function(*arguments, **options)
            taken[0] += found.nbytes
            return found

        return allocate

    monkeypatch.setattr(cuda, "device_array", counted(cuda.device_array))
    monkeypatch.setattr(cuda, "to_device", counted(cuda.to_device))
    announced = gram.scratch_bytes(*shape)
    gram.fill_there(slice(0, shape[0]), slice(0, shape[1]), out)
    assert 0 < taken[0] <= announced + 64  # flags of conversions


@pytest.mark.parametrize("known", [True, False])
def test_intervals(problem, there, known):
    p, q = problem(N, D, M), problem(K, D, M)
    X, W, Z = there(p.X), there(p.W), there(q.X)
    masks = fastntk.activation_masks(X, W)
    for found, expected in (
        (fastntk.gram_interval(X, masks=masks) if known else fastntk.gram_interval(X, W),
         fastntk.gram_interval(p.X, p.W)),
        (fastntk.gram_interval(X, None, Z, masks=(masks, fastntk.activation_masks(Z, W)), level=0.5) if known
         else fastntk.gram_interval(X, W, Z, level=0.5), fastntk.gram_interval(p.X, p.W, q.X, level=0.5)),
    ):  # fmt: skip
        assert found.level == expected.level
        for name in ("gram", "lower", "upper"):
            part, wanted = host(getattr(found, name)), getattr(expected, name)
            assert np.allclose(part, wanted, rtol=1e-13, atol=1e-16)
            assert part.shape != (N, N) or np.array_equal(part, part.T)
        assert (host(found.gram) < 0).any()  # where the ends change places


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
    found = fastntk.gram_interval(X, masks=masks)
    for part in (found.gram, found.lower, found.upper):
        assert np.array_equal(host(part), host(part).T)
    assert np.allclose(host(found.gram), expected, rtol=1e-13)
    for H, wanted in (
        (fastntk.gram(X, masks=masks), expected),
        (fastntk.gram(X, masks=masks, a=there(a)), fastntk.gram(p.X, p.W, a)),
        (fastntk.limit_gram(X, layers="both"), fastntk.limit_gram(p.X, layers="both")),
    ):
        assert np.array_equal(host(H), host(H).T)
        assert np.allclose(host(H), wanted, rtol=1e-13, atol=1e-15)


def test_intervals_of_drawn_neurons(problem, there):
    X = problem(5, D, 1).X
    found, expected = fastntk.gram_interval(there(X), width=200), fastntk.gram_interval(X, width=200)
    assert np.allclose(host(found.upper), expected.upper, rtol=1e-13)
    with pytest.raises(ValueError, match="level must be below 1"):
        fastntk.gram_interval(there(X), width=200, level=1.0)


@pytest.mark.parametrize("m", [1, 64, 65])
def test_one_point(there, m):
    X, W = np.array([[3.0, 4.0]]), np.ones((m, 2))
    W[0] = -1.0
    expected = 25.0 * (m - 1) / m
    assert host(fastntk.gram(there(X), there(W))) == [[expected]]
    assert host(fastntk.gram(there(X), there(W), Z=there(X[:, ::-1])))[0, 0] == 24.0 * (m - 1) / m
    interval = fastntk.gram_interval(there(X), there(W))
    assert host(interval.lower) <= host(interval.gram) <= host(interval.upper)
    operator = fastntk.gram_operator(there(X), W=there(W))
    assert host(operator @ there(np.array([2.0]))) == [2.0 * expected]
    assert host(operator.diagonal()) == [expected]
    assert host(fastntk.limit_gram(there(X))) == [[12.5]]
