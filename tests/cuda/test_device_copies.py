"""What the host does with arrays of a GPU: they are copied, and the results are those of the same arrays there."""

import numpy as np
import pytest

import fastntk
from fastntk import spectra
from fastntk.compilation.jit_cuda import cuda, simulated
from fastntk.device.arrays import upload
from fastntk.device.masks import DevicePackedMasks


class Foreign:
    """An array that is known by its ``__cuda_array_interface__`` alone."""

    def __init__(self, values):
        values = np.ascontiguousarray(values)
        self.values = values if simulated() else cuda.to_device(values)
        description = "__array_interface__" if simulated() else "__cuda_array_interface__"
        self.__cuda_array_interface__ = getattr(self.values, description)


def test_uploaded_arrays_have_the_strides_of_their_shape():
    """Whatever NumPy says of an axis of length one."""
    there = upload(np.arange(5.0)[np.newaxis])
    assert tuple(there.shape) == (1, 5)
    assert tuple(there.strides) == (40, 8)
    assert np.array_equal(there.copy_to_host(), [np.arange(5.0)])


MOVES = {"Numba's": lambda values: cuda.to_device(np.ascontiguousarray(values)), "others'": Foreign}


@pytest.fixture
def numbers():
    rng = np.random.default_rng(4)
    A = rng.standard_normal((9, 14))
    return A @ A.T / 14, rng.standard_normal((9, 2))


def same(found, expected):
    """Equal to the bit, field by field, and in host memory."""
    for name in getattr(expected, "__dataclass_fields__", None) or vars(expected):
        part, wanted = getattr(found, name), getattr(expected, name)
        assert type(part) is type(wanted), name
        assert np.array_equal(part, wanted), name


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize(
    "call",
    [
        lambda H, y: fastntk.lambda_min(H),
        lambda H, y: spectra.lambda_max(H),
        lambda H, y: spectra.spectral_norm(H),
        lambda H, y: spectra.SpectralNorm().update(H, H),
        lambda H, y: spectra.SmallestEigenvalue().update(H),
        lambda H, y: fastntk.condition_number(H),
        lambda H, y: fastntk.spectrum(H, 2, "both"),
        lambda H, y: fastntk.label_projections(H, y, 3),
        lambda H, y: fastntk.kernel_regression(H, y, 0.1, rtol=1e-10),
    ],
)
def test_eigenvalues_alignment_and_regression(numbers, call, move):
    H, y = numbers
    same(call(move(H), move(y)), call(H, y))


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_complexity(numbers, move):
    H, y = numbers
    same(
        fastntk.generalization_complexity(move(H), move(y[:, 0])),
        fastntk.generalization_complexity(H, y[:, 0]),
    )


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_how_symmetric_a_matrix_must_be_is_that_of_its_precision(numbers, move):
    single = (numbers[0] + 1e-6 * np.triu(np.ones((9, 9)), 1)).astype(np.float32)
    same(fastntk.lambda_min(move(single)), fastntk.lambda_min(single))


def test_intervals(problem, there):
    p, q = problem(7, 3, 70), problem(5, 3, 70)
    left, right = (fastntk.activation_masks(samples, p.W) for samples in (p.X, q.X))
    device = tuple(map(DevicePackedMasks.from_host, (left, right)))
    X, Z, W = there(p.X), there(q.X), there(p.W)
    for found, expected in (
        (fastntk.gram_interval(X, W, level=0.5), fastntk.gram_interval(p.X, p.W, level=0.5)),
        (fastntk.gram_interval(X, masks=device[0]), fastntk.gram_interval(p.X, masks=left)),
        (fastntk.gram_interval(X, None, Z, masks=device), fastntk.gram_interval(p.X, None, q.X, masks=(left, right))),
        (fastntk.gram_interval(X, width=200), fastntk.gram_interval(p.X, width=200)),
    ):  # fmt: skip
        same(found, expected)


def test_operators(problem, there):
    p, q = problem(7, 3, 70), problem(5, 3, 70)
    pattern = p.X @ p.W.T >= 0
    X, Z, W, a = there(p.X), there(q.X), there(p.W), there(p.a)
    for found, expected in (
        (fastntk.gram_operator(X, layers="both", depth=2), fastntk.gram_operator(p.X, layers="both", depth=2)),
        (fastntk.gram_operator(X, Z, W=W, a=a), fastntk.gram_operator(p.X, q.X, W=p.W, a=p.a)),
        (fastntk.gram_operator(X, masks=there(pattern)), fastntk.gram_operator(p.X, masks=pattern)),
        (fastntk.gram_operator(X, width=70), fastntk.gram_operator(p.X, width=70)),
    ):  # fmt: skip
        v = np.arange(expected.shape[1])
        assert np.array_equal(found @ v, expected @ v)
    with pytest.warns(fastntk.SingularGramWarning, match="rows 0 and 1 of X are positive") as caught:
        fastntk.gram_operator(there([[1.0, 2.0], [2.0, 4.0]]))
    assert caught[0].filename == __file__


def test_operators_take_labels_from_anywhere(there):
    X, y = fastntk.datasets.sphere(5, 3, seed=2)
    H = fastntk.gram_operator(there(X))
    same(fastntk.kernel_regression(H, there(y), 1.0), fastntk.kernel_regression(H, y, 1.0))
    same(fastntk.label_projections(H, there(y), 2), fastntk.label_projections(H, y, 2))
    same(fastntk.generalization_complexity(H, there(y)), fastntk.generalization_complexity(H, y))


def test_gram_matrices_that_the_host_draws_or_writes(problem, there, tmp_path):
    p, q = problem(7, 3, 70), problem(5, 3, 70)
    X, W, Z = there(p.X), there(p.W), there(q.X)
    found = fastntk.gram(X, Z=Z, width=70, seed=3, dtype="float32")
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found, fastntk.gram(p.X, Z=q.X, width=70, seed=3, dtype="float32"))
    expected = fastntk.gram(p.X, p.W)
    array = np.zeros((7, 7))
    assert fastntk.gram(X, W, out=array) is array
    assert np.array_equal(array, expected)
    assert np.array_equal(fastntk.gram(X, W, out=tmp_path / "H.npy"), expected)
    pattern = there(p.X @ p.W.T >= 0)
    assert np.array_equal(fastntk.gram(X, masks=pattern, out=np.zeros((7, 7))), expected)
    assert np.array_equal(fastntk.limit_gram(X, out=tmp_path / "L.npy"), fastntk.limit_gram(p.X))
    assert fastntk.limit_gram(X, Z, out=(array := np.zeros((7, 5)))) is array
    assert np.array_equal(array, fastntk.limit_gram(p.X, q.X))
