"""Public functions of arrays on a GPU: the numbers of the CPU, arrays of the same library back, the same errors."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import fastntk
from fastntk.base.packing import PackedMasks
from fastntk.compilation.jit_cuda import cuda, simulated
from fastntk.cuda.matrices import passes
from fastntk.device import arrays as device_arrays
from fastntk.device.masks import DevicePackedMasks


class Interface:
    """An array of a library that Numba does not know, described by ``__cuda_array_interface__``."""

    def __init__(self, values):
        self.values = values if simulated() else cuda.to_device(values)
        description = "__array_interface__" if simulated() else "__cuda_array_interface__"
        self.__cuda_array_interface__ = getattr(self.values, description)


class OnlyDLPack:
    """The same by DLPack, on memory of the host that it says is that of a GPU: for the simulator."""

    def __init__(self, values, gpu=0):
        self.values, self.gpu = values, gpu

    def __dlpack__(self, stream=None, **options):
        assert stream == 1  # the default stream
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return 2, self.gpu


OWNERS = [Interface, OnlyDLPack] if simulated() else [Interface]


def host(array):
    return np.asarray(array.copy_to_host())


@pytest.fixture
def moved(there):
    return lambda p: SimpleNamespace(**{name: there(value) for name, value in vars(p).items()})


@pytest.mark.parametrize(
    ("n", "m", "dtype"), [(1, 1, np.float64), (17, 65, np.float32), (16, 129, np.float64)]
)
def test_integers_are_those_of_the_cpu(problem, moved, n, m, dtype):
    p, q = problem(n, 3, m, dtype, integers=True), problem(n, 3, m, dtype, integers=True)
    masks, others = (fastntk.activation_masks(g.X, g.W) for g in map(moved, (p, q)))
    expected, other = (fastntk.activation_masks(h.X, h.W) for h in (p, q))
    assert isinstance(masks, DevicePackedMasks)
    assert masks.shape == (n, m)
    assert masks.nbytes == expected.nbytes
    assert np.array_equal(host(masks.bits), expected.bits)
    dense = masks.to_dense()
    assert dense.dtype == np.bool_
    assert np.array_equal(host(dense), expected.to_dense())
    counts = fastntk.coactivation_counts(masks)
    assert counts.dtype == np.int64
    assert np.array_equal(host(counts), fastntk.coactivation_counts(expected))
    assert fastntk.flip_count(masks, others) == fastntk.flip_count(expected, other)
    for found, wanted in zip(
        fastntk.flip_marginals(masks, others), fastntk.flip_marginals(expected, other), strict=True
    ):
        assert found.dtype == np.int64
        assert np.array_equal(host(found), wanted)
    assert fastntk.flip_fraction(masks, others) == fastntk.flip_fraction(expected, other)
    assert np.array_equal(masks.to_host().bits, expected.bits)


def test_several_blocks_of_neurons(problem, moved, monkeypatch):
    """Pre-activations pass by in blocks; patterns and outputs do not show it."""
    from fastntk.cuda import forward

    monkeypatch.setattr(forward, "_BLOCK_BYTES", 1)
    p = problem(3, 2, 300, integers=True)
    g = moved(p)
    assert np.array_equal(
        host(fastntk.activation_masks(g.X, g.W).bits), fastntk.activation_masks(p.X, p.W).bits
    )
    u = fastntk.TwoLayerReLU(g.W, g.a)(g.X)
    assert np.allclose(host(u), fastntk.reference.forward(p.X, p.W, p.a), rtol=1e-13, atol=0)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-14)])
def test_outputs_and_gradient(problem, moved, dtype, bound):
    p = problem(9, 4, 70, dtype)
    g = moved(p)
    net = fastntk.TwoLayerReLU(g.W, g.a)
    assert repr(net) == f"TwoLayerReLU(d=4, width=70, dtype={np.dtype(dtype).name})"
    u = net(g.X)
    exact = [np.asarray(value, np.float64) for value in (p.X, p.y, p.W, p.a)]
    X, y, W, a = exact
    assert u.dtype == np.float64
    assert np.abs(host(u) - fastntk.reference.forward(X, W, a)).max() < bound * np.abs(W).sum()
    gradient = fastntk.loss_gradient(g.X, g.y, g.W, g.a)
    assert gradient.dtype == dtype
    assert np.abs(host(gradient) - fastntk.reference.loss_gradient(X, y, W, a)).max() < bound * 10


def test_gram_with_weights(problem, moved):
    p = problem(5, 3, 40)
    g = moved(p)
    H = host(fastntk.gram(g.X, g.W))
    assert np.array_equal(H, H.T)
    assert np.array_equal(H, host(fastntk.gram(g.X, masks=fastntk.activation_masks(g.X, g.W))))
    assert np.allclose(H, fastntk.gram(p.X, p.W), rtol=1e-14, atol=1e-16)
    g.a = moved(SimpleNamespace(a=3.0 * p.a)).a
    assert np.allclose(
        host(fastntk.gram(g.X, g.W, g.a)), 9.0 * fastntk.gram(p.X, p.W), rtol=1e-14, atol=1e-16
    )


@pytest.mark.parametrize("layers", ["first", "second", "both"])
def test_gram_of_layers_and_unequal_weights(problem, moved, monkeypatch, layers):
    monkeypatch.setattr(passes, "PART", 32)
    p = problem(5, 3, 40)  # more neurons than are summed in working precision
    p.a = p.a * np.linspace(0.5, 2.0, 40)
    g = moved(p)
    for a, there in ((None, None), (p.a, g.a)):
        H = host(fastntk.gram(g.X, g.W, there, layers=layers))
        assert np.array_equal(H, H.T)
        assert np.allclose(H, fastntk.gram(p.X, p.W, a, layers=layers), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 2e-6), ("float64", 3e-14)])
def test_limit(problem, there, dtype, bound):
    p = problem(7, 3, 4)
    Z = problem(5, 3, 4).X
    X = p.X * np.linspace(0.5, 2.0, 7)[:, np.newaxis]
    found = host(fastntk.limit_gram(there(X), layers="both", depth=2, dtype=dtype))
    assert found.dtype == dtype
    assert np.array_equal(found, found.T)
    assert np.abs(found - fastntk.reference.limit_gram(X, layers="both", depth=2)).max() < 8 * bound
    found = host(fastntk.limit_gram(there(X), there(Z), dtype=dtype))
    assert np.abs(found - fastntk.reference.limit_gram(X, Z)).max() < bound


def test_limit_of_lengths_that_must_be_scaled(there):
    """As on the CPU: products of such rows would underflow."""
    X = np.array([[3e-200, 4e-200], [0.0, 1.0]])
    assert np.array_equal(host(fastntk.limit_gram(there(X))), fastntk.limit_gram(X))


@pytest.mark.parametrize("owner", OWNERS)
def test_arrays_of_other_libraries(owner, problem):
    """No copy in; strided views and integers are converted; nothing of the owner is written."""
    p = problem(6, 4, 9, np.float32, integers=True)
    X = p.X.copy()
    X.flags.writeable = owner is OnlyDLPack  # NumPy's own DLPack refuses read-only memory to old consumers
    view = device_arrays.view(owner(X), "X")
    if simulated():
        assert np.shares_memory(view._ary, X)
    expected = fastntk.activation_masks(p.X, p.W).to_dense()
    assert np.array_equal(host(fastntk.activation_masks(owner(X), owner(p.W)).to_dense()), expected)
    assert np.array_equal(X, p.X)
    strided = np.repeat(p.X.astype(np.int16), 2, axis=1)
    if simulated():
        there = owner(strided[:, ::2])
        assert np.array_equal(host(fastntk.activation_masks(there, owner(p.W)).to_dense()), expected)


@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_results_are_given_to_the_library_of_the_samples(library, monkeypatch, problem):
    taken = []

    def take(array, **options):
        taken.append((array, options))
        return "given back"

    monkeypatch.setitem(sys.modules, library, SimpleNamespace(as_tensor=take, asarray=take))
    kind = type("Tensor", (Interface,), {"__module__": f"{library}._tensor"})
    p = problem(3, 2, 4)
    masks = fastntk.activation_masks(kind(p.X), kind(p.W))
    for give in (
        lambda: fastntk.limit_gram(kind(p.X)),
        lambda: fastntk.coactivation_counts(masks),
        masks.to_dense,
    ):
        assert give() == "given back"
    assert [options for _, options in taken] == [{"device": "cuda"} if library == "torch" else {}] * 3
    assert np.array_equal(host(taken[1][0]), fastntk.coactivation_counts(p.X @ p.W.T >= 0))


def test_refused_by_name(problem, there):
    p = problem(4, 3, 6)
    X, W = there(p.X), there(p.W)
    broken = p.X.copy()
    broken[2, 1] = np.nan
    for call, error, message in (
        (
            lambda: fastntk.activation_masks(there(broken), W),
            ValueError,
            "^X must be finite, got nan or inf$",
        ),
        (
            lambda: fastntk.activation_masks(there(p.X[0]), W),
            ValueError,
            r"^X must have 2 dim.* got shape \(3,\)$",
        ),
        (
            lambda: fastntk.activation_masks(there(p.X[:, :2]), W),
            ValueError,
            "^X and W must have the same number",
        ),
        (lambda: fastntk.activation_masks(there(p.X[:0]), W), ValueError, "^X must not be empty"),
        (lambda: fastntk.activation_masks(there(p.X * 1j), W), TypeError, "^X must be real numbers"),
        (
            lambda: fastntk.activation_masks(there(p.X * 1e300), there(p.W.astype(np.float32))),
            ValueError,
            "^X must be within the range of float32",
        ),
        (
            lambda: fastntk.loss_gradient(X, there(p.y[:2]), W, there(p.a)),
            ValueError,
            "^y must have one entry for",
        ),
        (
            lambda: fastntk.gram(X, masks=fastntk.activation_masks(X, W), layers="both"),
            ValueError,
            "^layers='both' needs W or width, got masks",
        ),
        (lambda: fastntk.gram(X, W, dtype="float16"), ValueError, "^dtype must be 'float32' or 'float64'"),
        (lambda: fastntk.gram(X, W, Z=there(p.X[:, :2])), ValueError, "^X and Z must have the same number"),
        (lambda: fastntk.gram(X, width=0), ValueError, "^width must be at least 1, got 0$"),
        (
            lambda: fastntk.gram(X, W, there(p.a[:2])),
            ValueError,
            r"^a must have one entry .* W \(6\), got 2$",
        ),
        (
            lambda: fastntk.gram(there(p.X * 1e300), width=3),
            ValueError,
            "^X must be within the range of float32",
        ),
        (
            lambda: fastntk.gram(X, Z=X, masks=fastntk.activation_masks(X, W)),
            TypeError,
            "^masks must be a pair with Z, those of X and of Z, got DevicePackedMasks",
        ),
        (
            lambda: fastntk.gram(there(p.X[:2]), masks=fastntk.activation_masks(X, W)),
            ValueError,
            r"^masks must have one row for each row of X \(2\), got 4$",
        ),
        (
            lambda: fastntk.flip_count(X, X),
            ValueError,
            "^masks_a must be a non-empty boolean matrix, got float64",
        ),
        (
            lambda: fastntk.coactivation_counts(X),
            ValueError,
            "^masks must be a non-empty boolean matrix, got float",
        ),
        (lambda: fastntk.gram(X), ValueError, "^exactly one of W, masks and width must be given, got none$"),
        (lambda: fastntk.limit_gram(X, depth=2), ValueError, "^depth must be 1 for layers='first'"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_mixed_inputs(problem, there):
    p = problem(4, 3, 6)
    X, W, masks = there(p.X), there(p.W), fastntk.activation_masks(p.X, p.W)
    device = DevicePackedMasks.from_host(masks)
    net = fastntk.TwoLayerReLU(W, there(p.a))
    for call, first, second in (
        (lambda: fastntk.activation_masks(X, p.W), "X on a GPU", "W on the CPU"),
        (lambda: fastntk.gram(p.X, masks=device), "X on the CPU", "masks on a GPU"),
        (lambda: fastntk.gram(X, masks=masks), "X on a GPU", "masks on the CPU"),
        (lambda: fastntk.gram(X, np.asarray(p.W).view(np.memmap)), "X on a GPU", "W on the CPU"),
        (lambda: fastntk.gram(X, W, Z=p.X), "X on a GPU", "Z on the CPU"),
        (lambda: fastntk.gram(X, Z=X, masks=(device, masks)), "X on a GPU", r"masks\[1\] on the CPU"),
        (lambda: fastntk.gram_interval(p.X, masks=device), "X on the CPU", "masks on a GPU"),
        (lambda: fastntk.gram_operator(X, p.X), "X on a GPU", "Z on the CPU"),
        (lambda: fastntk.flip_count(masks, device), "masks_a on the CPU", "masks_b on a GPU"),
        (lambda: fastntk.flip_marginals(device, masks), "masks_a on a GPU", "masks_b on the CPU"),
        (lambda: fastntk.limit_gram(X, p.X), "X on a GPU", "Z on the CPU"),
        (lambda: fastntk.loss_gradient(X, p.y, W, net.a), "X on a GPU", "y on the CPU"),
        (lambda: net(p.X), "X on the CPU", "W on a GPU"),
        (lambda: fastntk.TwoLayerReLU(W, p.a), "W on a GPU", "a on the CPU"),
        (lambda: fastntk.train(X, p.y, width=4), "X on a GPU", "y on the CPU"),
        (lambda: fastntk.train(p.X, p.y, net=net), "X on the CPU", "net.W on a GPU"),
    ):
        with pytest.raises(
            TypeError, match=f"must live in the same memory, got {first} and {second}: move one"
        ):
            call()
    with pytest.raises(
        ValueError, match=r"^masks_a and masks_b must have the same shape, got \(4, 6\) and \(4, 5\)"
    ):
        fastntk.flip_count(device, DevicePackedMasks.from_host(PackedMasks.empty(4, 5)))


def test_gpus_apart(there, problem):
    X = problem(3, 2, 4).X
    with pytest.raises(
        TypeError, match=r"^X and W must live in the same memory, got X on GPU 0 and W on GPU 1"
    ):
        fastntk.gram(OnlyDLPack(X), OnlyDLPack(X, gpu=1))
    with pytest.raises(
        ValueError, match=r"^X must live on GPU 0, the one in use, got GPU 1: select GPU 1 first$"
    ):
        fastntk.limit_gram(OnlyDLPack(X, gpu=1))


def test_parallel_rows_are_warned_of(there):
    X = np.array([[1.0, 2.0], [2.0, 4.0]])
    with pytest.warns(
        fastntk.SingularGramWarning, match="rows 0 and 1 of X are positive multiples"
    ) as caught:
        fastntk.limit_gram(there(X))
    assert caught[0].filename == __file__
    with pytest.warns(
        fastntk.SingularGramWarning, match="rows 0 and 1 of X are positive multiples"
    ) as caught:
        fastntk.gram(there(X), there(X))
    assert caught[0].filename == __file__


def test_too_large(problem, there, monkeypatch):
    p = problem(4, 3, 6)
    X, W = there(p.X), there(p.W)
    masks = fastntk.activation_masks(X, W)
    monkeypatch.setattr(device_arrays, "available_bytes", lambda: 100.0)
    for call in (
        lambda: fastntk.activation_masks(X, W),
        lambda: fastntk.coactivation_counts(masks),
        lambda: fastntk.gram(X, masks=masks),
        lambda: fastntk.limit_gram(X),
    ):
        with pytest.raises(
            fastntk.MemoryLimitError, match=r"needs \d+ bytes .* of the GPU's memory, but only 100 "
        ):
            call()
