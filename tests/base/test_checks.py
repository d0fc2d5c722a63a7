"""Argument checks: what is accepted, and what the errors say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastntk.base import checks
from fastntk.base.errors import DivergenceError, MemoryLimitError, ToleranceError
from fastntk.base.memory import aligned_zeros, require_memory


@pytest.mark.parametrize(
    "value",
    [
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], np.uint8),
        np.array([[1, 2], [3, 4]], np.float16),
        np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]),
        np.array([[1.0, 0.0, 2.0], [3.0, 0.0, 4.0]])[:, ::2],
        np.array([[1, 2], [3, 4]], np.longdouble),
        np.array([[1, 2], [3, 4]], ">f8"),
    ],
)
def test_any_real_matrix_becomes_contiguous_float64(value):
    found = checks.matrix(value, "X")
    assert found.dtype == np.float64
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    assert found.tolist() == [[1, 2], [3, 4]]


def test_good_arrays_are_not_copied():
    for dtype in (np.float32, np.float64):
        value = np.ones((3, 2), dtype)
        assert np.shares_memory(checks.matrix(value, "X"), value)
        assert checks.matrix(value, "X").dtype == dtype
    assert checks.matrix(np.ones((2, 2), bool), "X").tolist() == [[1, 1], [1, 1]]
    assert checks.matrix(np.ones((2, 2)), "X", np.float32).dtype == np.float32


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, TypeError, r"X must be real numbers, got None \(NoneType\)$"),
        ("abc", TypeError, "X must be real numbers, got dtype <U3"),
        ([[1j]], TypeError, "X must be real numbers, got dtype complex128"),
        (np.zeros((1, 1), "M8[s]"), TypeError, "X must be real numbers, got dtype datetime64"),
        (3.0, ValueError, r"X must have 2 dimension\(s\), got shape \(\)"),
        ([[], []], ValueError, r"X must not be empty, got shape \(2, 0\)"),
        ([[1], [2, 3]], ValueError, "X must be a 2-dimensional array of numbers"),
        ([[0, 1], [np.nan, 0]], ValueError, r"X must be finite, got nan at index \(1, 0\)"),
        ([[0, -np.inf]], ValueError, r"X must be finite, got -inf at index \(0, 1\)"),
    ],
)
def test_bad_matrices(value, error, message):
    with pytest.raises(error, match=message):
        checks.matrix(value, "X")


def test_finite_sums_that_overflow_are_fine():
    largest = np.finfo(np.float64).max
    assert checks.array([largest, largest], "y", 1).tolist() == [largest, largest]
    with pytest.raises(ValueError, match=r"y must be within the range of float32, got 1e\+300 at index 1"):
        checks.array([1.0, 1e300], "y", 1, np.float32)


@given(st.integers(1, 300), st.integers(0, 10**6), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_one_bad_entry_is_always_found(size, where, bad):
    values = np.linspace(-1, 1, size)
    values[where % size] = bad
    with pytest.raises(ValueError, match=rf"got {bad} at index {where % size}$"):
        checks.array(values, "y", 1)


def test_representable():
    checks.representable(np.array([3e38, -3e38]), "X", "float32")
    for value in (1e39, -1e39, np.inf):
        with pytest.raises(ValueError, match="X must be within the range of float32, got "):
            checks.representable(np.array([0.0, value]), "X", "float32")


@given(st.integers(-5, 5))
def test_integers(value):
    for kind in (int, np.int8, np.int64):
        if value >= 1:
            assert checks.integer(kind(value), "width", 1) == value
            assert type(checks.integer(kind(value), "width", 1)) is int
        else:
            with pytest.raises(ValueError, match=f"width must be at least 1, got {value}"):
                checks.integer(kind(value), "width", 1)


@pytest.mark.parametrize("value", [1.0, "1", None, True, np.True_, [1], np.float64(2)])
def test_not_integers(value):
    with pytest.raises(TypeError, match="width must be an integer, got "):
        checks.integer(value, "width", 1)


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(2)])
def test_positive(value):
    assert checks.positive(value, "lr") == float(value)


@pytest.mark.parametrize("value", [None, "0.1", b"1", True, np.True_, [1.0, 2.0], 1j])
def test_not_numbers(value):
    with pytest.raises(TypeError, match="lr must be a number, got "):
        checks.positive(value, "lr")


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf])
def test_not_positive(value):
    with pytest.raises(ValueError, match="lr must be finite and above 0, got "):
        checks.positive(value, "lr")


@pytest.mark.parametrize("value", ["C", 1, None, ["a"], np.array(["a", "b"])])
def test_not_a_choice(value):
    with pytest.raises(ValueError, match="mode must be one of 'a', 'b', got "):
        checks.choice(value, "mode", ("a", "b"))


@pytest.mark.parametrize("name", ["float32", "float64", np.float32, np.dtype("f8")])
def test_precisions(name):
    assert checks.floating_dtype(name) == np.dtype(name)


@pytest.mark.parametrize(
    ("name", "error"), [("int32", ValueError), ("f2", ValueError), ("fast", TypeError), (3, TypeError)]
)
def test_not_precisions(name, error):
    with pytest.raises(error, match="dtype must be 'float32' or 'float64', got "):
        checks.floating_dtype(name)


def test_memory_errors_are_both_kinds_and_say_how_much():
    with pytest.raises(
        MemoryLimitError, match=r"a thing needs 1.07e\+09 GiB of memory, but only \d"
    ) as caught:
        require_memory(2**60, "a thing")
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, ValueError)
    require_memory(1, "nothing")


@pytest.mark.parametrize("shape", [1, 7, (3, 5), (2, 1, 16)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint64])
def test_buffers_start_a_cache_line(shape, dtype):
    for _ in range(5):
        buffer = aligned_zeros(shape, dtype)
        assert buffer.ctypes.data % 64 == 0
        assert buffer.dtype == dtype
        assert buffer.shape == (shape if isinstance(shape, tuple) else (shape,))
        assert not buffer.any()
        assert buffer.flags.c_contiguous
        assert buffer.flags.writeable


def test_divergence_error_carries_its_run():
    error = DivergenceError("message", "run", 3, 0.5)
    assert isinstance(error, ArithmeticError)
    assert (str(error), error.run, error.step, error.largest_stable_step) == ("message", "run", 3, 0.5)


def test_tolerance_error_carries_its_run():
    error = ToleranceError("message", "run", 0.5)
    assert isinstance(error, ArithmeticError)
    assert (str(error), error.run, error.time) == ("message", "run", 0.5)
