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
from fastntk.device import driver
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


def spoiled(values, where, entry):
    found = values.copy()
    found[where] = entry
    return found


def bad_calls(p, move):
    """Calls that fail, of arrays that `move` has put where they are."""
    X, y, W, a, single = map(move, (p.X, p.y, p.W, p.a, p.W.astype(np.float32)))
    masks = fastntk.activation_masks(X, W)
    return {
        "nan": lambda: fastntk.activation_masks(move(spoiled(p.X, (2, 1), np.nan)), W),
        "the first of two": lambda: fastntk.limit_gram(move(spoiled(p.X, ([1, 3], [2, 0]), -np.inf))),
        "inf in a vector": lambda: fastntk.loss_gradient(X, move(spoiled(p.y, 3, np.inf)), W, a),
        "strided": lambda: fastntk.limit_gram(move(spoiled(p.X, (2, 2), np.nan))[:, ::2]),
        "dimensions": lambda: fastntk.activation_masks(move(p.X[0]), W),
        "columns": lambda: fastntk.activation_masks(move(p.X[:, :2]), W),
        "empty": lambda: fastntk.activation_masks(move(p.X[:0]), W),
        "complex": lambda: fastntk.activation_masks(move(p.X * 1j), W),
        "range of samples": lambda: fastntk.activation_masks(move(p.X * 1e300), single),
        "range of labels": lambda: fastntk.loss_gradient(X, move(p.y * 1e300), single, a),
        "range of signs": lambda: fastntk.TwoLayerReLU(single, move(p.a * 1e300)),
        "range of outputs": lambda: fastntk.TwoLayerReLU(single, a)(move(p.X * 1e300)),
        "labels": lambda: fastntk.loss_gradient(X, move(p.y[:2]), W, a),
        "signs": lambda: fastntk.TwoLayerReLU(W, move(p.a[:2])),
        "integers": lambda: fastntk.TwoLayerReLU(W, move(np.arange(3))),
        "layers of masks": lambda: fastntk.gram(X, masks=masks, layers="both"),
        "dtype": lambda: fastntk.gram(X, W, dtype="float16"),
        "columns of Z": lambda: fastntk.gram(X, W, Z=move(p.X[:, :2])),
        "columns of W": lambda: fastntk.gram(X, move(p.W[:, :2])),
        "width": lambda: fastntk.gram(X, width=0),
        "signs of gram": lambda: fastntk.gram(X, W, move(p.a[:2])),
        "range of drawn neurons": lambda: fastntk.gram(move(p.X * 1e300), width=3),
        "rows of masks": lambda: fastntk.gram(move(p.X[:2]), masks=masks),
        "masks of Z": lambda: fastntk.gram(X, Z=X, masks=(masks, fastntk.activation_masks(X, move(p.W[:2])))),
        "a pair without Z": lambda: fastntk.gram(X, masks=(masks, masks)),
        "no masks": lambda: fastntk.flip_count(X, X),
        "counts of no masks": lambda: fastntk.coactivation_counts(X),
        "shapes": lambda: fastntk.flip_marginals(masks, fastntk.activation_masks(X, move(p.W[:2]))),
        "no network": lambda: fastntk.gram(X),
        "depth": lambda: fastntk.limit_gram(X, depth=2),
        "lengths": lambda: fastntk.limit_gram(move(p.X * 1e200)),
        "diagonal": lambda: fastntk.limit_gram(move(p.X * 1e25), dtype="float32"),
        "not a cosine": lambda: fastntk.limit_profile(move(np.array([[0.5, 1.0 + 1e-15]]))),
        "nan among cosines": lambda: fastntk.limit_profile(move(np.array([[[0.5], [np.nan]]]))[:, :, ::1]),
        "no cosines": lambda: fastntk.limit_profile(move(np.zeros((0, 2)))),
        "complex cosines": lambda: fastntk.limit_profile(move(np.array([1j]))),
        "matrix": lambda: fastntk.lambda_min(move(p.X)),
        "asymmetry": lambda: fastntk.lambda_min(move(np.triu(np.ones((3, 3))))),
        "labels of a matrix": lambda: fastntk.label_projections(move(np.eye(3)), y),
        "level": lambda: fastntk.gram_interval(X, W, level=1.0),
        "a without a network": lambda: fastntk.gram_operator(X, a=a),
    }


@pytest.mark.filterwarnings("ignore:overflow encountered")  # by the simulator
def test_refused_in_the_same_words(problem, there):
    """Bad arguments give the error of the CPU, with the entry that is the first to be wrong."""
    p = problem(4, 3, 6)
    on_gpu = bad_calls(p, there)
    for name, call in bad_calls(p, lambda values: values).items():
        with pytest.raises((ValueError, TypeError)) as expected:
            call()
        with pytest.raises((ValueError, TypeError)) as found:
            on_gpu[name]()
        assert (type(found.value), str(found.value)) == (type(expected.value), str(expected.value)), name
    with pytest.raises(ValueError, match=r"^X must be finite, got nan at index \(2, 1\)$"):
        on_gpu["nan"]()
    with pytest.raises(ValueError, match=r"^X must be finite, got -inf at index \(1, 2\)$"):
        on_gpu["the first of two"]()
    with pytest.raises(ValueError, match=r"^y must be finite, got inf at index 3$"):
        on_gpu["inf in a vector"]()


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
        (lambda: fastntk.gram(X, p.W, out=np.zeros((4, 4))), "X on a GPU", "W on the CPU"),
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
    monkeypatch.setattr(driver, "available_bytes", lambda: 100.0)
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


def test_errors_of_the_device_are_those_of_this_package(problem, monkeypatch):
    """Of whatever the backend is asked for."""
    failure = type("CudaAPIError", (Exception,), {"__module__": "numba.cuda.cudadrv.driver"})

    def fail(*arguments):
        raise failure("CUDA_ERROR_OUT_OF_MEMORY")

    masks = DevicePackedMasks.from_host(fastntk.activation_masks(*[problem(4, 3, 6).X] * 2))
    monkeypatch.setattr("fastntk.cuda.matrices.patterns.sum_over_masks", fail)
    with pytest.raises(
        fastntk.MemoryLimitError, match=r"^the GPU is out of memory: CUDA_ERROR_OUT_OF_MEMORY$"
    ):
        fastntk.coactivation_counts(masks)
