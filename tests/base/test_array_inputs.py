"""Arrays of other libraries: `__array__`, buffers and DLPack are read, what cannot be read is refused by name."""

import array

import numpy as np
import pytest
import scipy.sparse

import fastntk
from fastntk.base import checks
from fastntk.compilation import jit_cuda
from fastntk.device import driver


class OnlyDLPack:
    """Speaks DLPack and nothing else, like an array of a library that knows no NumPy."""

    def __init__(self, values, device=None):
        self.values, self.device = values, device

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device or self.values.__dlpack_device__()


class OnlyArray:
    """Speaks `__array__`, like a data frame."""

    def __init__(self, values, error=None):
        self.values, self.error = values, error

    def __array__(self, dtype=None, copy=None):
        if self.error is not None:
            raise self.error
        return np.asarray(self.values, dtype=dtype, copy=copy)


class RecordsGradients(OnlyArray):
    requires_grad = True


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("wrap", [OnlyDLPack, OnlyArray])
def test_foreign_arrays_share_memory(wrap, dtype):
    values = np.arange(6, dtype=dtype).reshape(3, 2)
    found = checks.matrix(wrap(values), "X")
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    assert np.shares_memory(found, values)
    assert np.array_equal(found, values)


@pytest.mark.parametrize(
    "value",
    [
        OnlyDLPack(np.asfortranarray([[1.0, 2.0], [3.0, 4.0]])),
        OnlyDLPack(np.array([[1.0, 0.0, 2.0], [3.0, 0.0, 4.0]])[:, ::2]),
        OnlyDLPack(np.array([[1, 2], [3, 4]], np.int16)),
        OnlyDLPack(np.array([[1, 2], [3, 4]], np.float16)),
        OnlyArray([[1, 2], [3, 4]]),
        np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]]),
        np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=np.zeros((2, 2), bool)),
        memoryview(array.array("d", [1, 2, 3, 4])).cast("B").cast("d", (2, 2)),
        (array.array("d", [1, 2]), array.array("d", [3, 4])),
    ],
)
def test_layouts_and_kinds(value):
    found = checks.matrix(value, "X")
    assert type(found) is np.ndarray
    assert found.dtype == np.float64
    assert found.flags.c_contiguous
    assert found.tolist() == [[1, 2], [3, 4]]


def test_arrays_on_a_device_that_cannot_be_used(monkeypatch, problem):
    """What has no kernels there is refused; what has some needs a device; other accelerators are none."""
    monkeypatch.setattr(jit_cuda, "problem", lambda: "no NVIDIA driver was found")
    driver.require.cache_clear()
    p = problem(5, 3, 7)
    there = OnlyDLPack(p.X, device=(2, 0))
    with pytest.raises(
        TypeError, match=r"^X must be readable .* a device \(DLPack type 2\), move it to the host first$"
    ):
        checks.matrix(there, "X")
    for function in (fastntk.limit_gram, fastntk.gram_operator, fastntk.limit_profile):
        with pytest.raises(fastntk.DeviceError, match=r"^CUDA cannot be used: no NVIDIA driver was found$"):
            function(there)
    with pytest.raises(
        TypeError, match=r"^X and W must live in the same memory, got X on GPU 0 and W on the CPU"
    ):
        fastntk.gram(there, p.W)
    with pytest.raises(
        TypeError, match=r"^X must be readable .* \(DLPack type 10\), move it to the host first$"
    ):
        fastntk.limit_gram(OnlyDLPack(p.X, device=(10, 0)))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (
            scipy.sparse.csr_array(np.eye(2)),
            TypeError,
            r"^X must be dense, got a sparse csr_array: pass X.toarray\(\)$",
        ),
        (scipy.sparse.coo_matrix(np.eye(2)), TypeError, "X must be dense, got a sparse coo_matrix"),
        (
            RecordsGradients(np.eye(2)),
            TypeError,
            r"^X must be free of gradients, got a RecordsGradients that records them: pass X.detach\(\)$",
        ),
        (
            OnlyArray(None, TypeError("can't convert device memory")),
            TypeError,
            "^X must be readable as a NumPy array, got OnlyArray: can't convert device memory$",
        ),
        (OnlyArray(None, RuntimeError("closed")), TypeError, "^X must be readable .* got OnlyArray: closed$"),
        (OnlyArray([[1j]]), TypeError, "^X must be real numbers, got dtype complex128$"),
        (
            OnlyArray(np.array([[1.0, None]])),
            ValueError,
            r"^X must have no missing values, got None at index \(0, 1\)$",
        ),
        (OnlyArray([["a"]]), TypeError, "^X must be real numbers, got dtype <U1$"),
        (OnlyDLPack(np.eye(2) * 1j), TypeError, "^X must be real numbers, got dtype complex128$"),
        (OnlyDLPack(np.ones(2)), ValueError, r"^X must have 2 dimension\(s\), got shape \(2,\)$"),
        (OnlyDLPack(np.array([[0, np.nan]])), ValueError, r"^X must be finite, got nan at index \(0, 1\)$"),
        (
            np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 0], [0, 1]]),
            ValueError,
            r"^X must have no masked entries, got one at index \(1, 1\)$",
        ),
    ],
)
def test_refused_by_name(value, error, message):
    with pytest.raises(error, match=message):
        checks.matrix(value, "X")
    with pytest.raises(error, match=message):
        fastntk.limit_gram(value)
