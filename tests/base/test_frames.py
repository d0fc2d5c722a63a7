"""Tables as users have them: what is numeric in them is used, and the rest is named by column and row."""

import datetime
from decimal import Decimal
from fractions import Fraction

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fastntk
from fastntk.base import checks
from fastntk.base.arrays import host_array

NUMBERS = {"size": [1.5, 2.0, -3.0, 4.25], "rooms": [1, 2, 3, 5], "garden": [True, False, True, True]}
PLAIN = np.array([[1.5, 1, 1], [2, 2, 0], [-3, 3, 1], [4.25, 5, 1]])
MIXED = pd.DataFrame(NUMBERS)

TABLES = {
    "float, int and bool": MIXED,
    "nullable": MIXED.convert_dtypes(),
    "Arrow-backed": MIXED.convert_dtypes(dtype_backend="pyarrow"),
    "objects": MIXED.astype(object),
    "categories": MIXED.astype({"rooms": "category"}),
    "sparse": MIXED.astype({"garden": pd.SparseDtype(bool)}),
    "decimals": pd.DataFrame({**NUMBERS, "size": [Decimal(str(x)) for x in NUMBERS["size"]]}),
    "one name twice": MIXED.set_axis(["a", "a", "a"], axis=1),
    "a class of its own": type("Table", (pd.DataFrame,), {})(MIXED),
    "polars": pl.DataFrame(NUMBERS),
    "pyarrow": pa.table(NUMBERS),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_numeric_tables_are_used_as_they_are(table):
    found = checks.matrix(table, "X")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, PLAIN)


COLUMNS = {
    "Int64": pd.Series([1, 2, 3, 5], dtype="Int64"),
    "boolean": pd.Series([True, False, True, True], dtype="boolean"),
    "Arrow-backed": pd.Series([1.5, 2, 3, 5], dtype="double[pyarrow]"),
    "objects": pd.Series([1, 2.5, Fraction(1, 2), True], dtype=object),
    "index": pd.Index([1, 2, 3, 5]),
    "polars": pl.Series("t", [1.5, 2, 3, 5]),
    "pyarrow": pa.array([1, 2, 3, 5]),
    "pyarrow, in pieces": pa.chunked_array([[True, False], [True, True]]),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_numeric_columns_are_labels(column):
    y = np.array([float(value) for value in np.asarray(column)])
    settings = {"width": 4, "steps": 1}
    expected = fastntk.train(PLAIN, y, **settings)
    np.testing.assert_array_equal(fastntk.train(MIXED, column, **settings).loss, expected.loss)


def test_dummies_are_used_by_every_function_that_takes_samples():
    houses = pd.DataFrame({"size": [1.5, 2.0, -3.0, 4.25, 0.5], "town": list("abcab")})
    table = pd.get_dummies(houses)
    plain = table.to_numpy(dtype=float)
    y = pd.Series([1, 0, 1, 1, 0], dtype="Int64")
    for made in (fastntk.limit_gram, lambda X: fastntk.gram(X, width=70, seed=1)):
        np.testing.assert_array_equal(made(table), made(plain))
    sweeps = [fastntk.sweep(X, y, widths=[8], steps=2, metrics="all") for X in (table, plain)]
    np.testing.assert_array_equal(sweeps[0].runs[0].loss, sweeps[1].runs[0].loss)
    assert fastntk.predict(table, y, width=8, steps=2).loss[0] == pytest.approx(sweeps[0].runs[0].loss[0])
    assert fastntk.plan(table).shape == (5, 5)


def test_precision_follows_the_columns():
    single = pd.DataFrame({"a": np.float32([0.1, 0.2]), "b": [True, False], "c": np.int8([1, 2])})
    assert checks.matrix(single, "X").dtype == np.float32
    assert checks.matrix(single.assign(b=[1, 2]), "X").dtype == np.float64
    assert checks.matrix(single[["a"]], "X").dtype == np.float32


def test_arrays_and_tables_of_one_dtype_are_not_copied():
    plain = np.random.default_rng(0).standard_normal((5, 3))
    assert checks.matrix(plain, "X") is plain
    table = pd.DataFrame(plain)
    assert np.shares_memory(host_array(table, "X", 2), table.to_numpy())


NAMED = pd.DataFrame(NUMBERS, index=list("pqrs"))


def with_hole(kind, table=NAMED):
    table = table.astype(kind)
    table.iloc[2, 1] = None
    return table


def objects(*rooms):
    return NAMED.assign(rooms=pd.Series(rooms, NAMED.index, object))


BAD_TABLES = {
    "nullable": (with_hole({"rooms": "Int64"}), ValueError, "no missing values, got nan in column 'rooms', row 'r'"),
    "objects": (with_hole(object), ValueError, "no missing values, got None in column 'rooms', row 'r'"),
    "floats": (with_hole(float), ValueError, "no missing values, got nan in column 'rooms', row 'r'"),
    "Arrow-backed": (
        with_hole({"rooms": "int64[pyarrow]"}, MIXED), ValueError, "no missing values, got nan in column 'rooms', row 2"
    ),
    "NA": (objects(1, pd.NA, 2, 3), ValueError, "no missing values, got <NA> in column 'rooms', row 'q'"),
    "NaT": (objects(1, pd.NaT, 2, 3), ValueError, "no missing values, got NaT in column 'rooms', row 'q'"),
    "inf": (NAMED.assign(size=[1, 2, -np.inf, 3]), ValueError, "X must be finite, got -inf in column 'size', row 'r'"),
    "inf, one dtype": (NAMED.astype(float) / [1, 0, 1], ValueError, "be finite, got inf in column 'rooms', row 'p'"),
    "text": (NAMED.assign(town=list("abcd")), TypeError, "real numbers, got 'a' (str) in column 'town', row 'p'"),
    "numbers as text": (NAMED.assign(rooms=list("1235")), TypeError, "got '1' (str) in column 'rooms', row 'p'"),
    "dates": (
        NAMED.assign(day=pd.date_range("2020-01-01", periods=4)), TypeError, "real numbers, got dtype datetime64"
    ),
    "complex": (NAMED.assign(z=[1j, 2, 3, 4]), TypeError, "real numbers, got dtype complex128 in column 'z'"),
    "too large": (NAMED.assign(n=[1, 2, 10**400, 3]), ValueError, "within the range of float64, got 1000"),
    "no columns": (NAMED[[]], ValueError, "X must not be empty, got shape (4, 0)"),
    "no rows": (MIXED[:0], ValueError, "X must not be empty, got shape (0, 3)"),
    "polars": (
        pl.DataFrame({"a": [1.5, 2.0], "b": [1, None]}), ValueError, "no missing values, got nan in column 'b', row 1"
    ),
    "polars bools": (pl.DataFrame({"a": [True, None]}), ValueError, "no missing values, got None in column 'a', row 1"),
    "polars lazy": (pl.LazyFrame({"a": [1.0]}), TypeError, "must be in memory, got a LazyFrame: pass X.collect()"),
    "polars text": (pl.DataFrame({"a": ["u"]}), TypeError, "real numbers, got dtype <U1 in column 'a'"),
    "pyarrow": (pa.table({"a": [1.5, None]}), ValueError, "no missing values, got nan in column 'a', row 1"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "kind", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_what_is_no_number_is_named_by_column_and_row(table, kind, message):
    with pytest.raises(kind) as caught:
        fastntk.limit_gram(table)
    assert message in str(caught.value)
    assert str(caught.value).startswith("X must ")


BAD_COLUMNS = {
    "a name": (pd.Series([1, 2, None, 4], dtype="Int64", name="price"), ValueError, "got nan in column 'price', row 2"),
    "no name": (pd.Series([1, 2, None, 4], dtype="Int64"), ValueError, "no missing values, got nan in row 2"),
    "polars": (pl.Series([1, None, 3, 4]), ValueError, "no missing values, got nan in row 1"),
    "pyarrow": (pa.array([1, None, 3, 4]), ValueError, "no missing values, got nan in row 1"),
    "text": (pd.Series(list("abab")), TypeError, "must be real numbers, got 'a' (str) in row 0"),
    "one column": (MIXED[["size"]], ValueError, "got shape (4, 1): pass its one column"),
    "two columns": (MIXED[["size", "rooms"]], ValueError, "got shape (4, 2): several outputs are not supported"),
    "nested lists": ([[1, 2]] * 4, ValueError, "got shape (4, 2): several outputs are not supported"),
}  # fmt: skip


@pytest.mark.parametrize(("y", "kind", "message"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
@pytest.mark.parametrize(
    "function", [fastntk.train, fastntk.sweep, fastntk.predict, fastntk.convergence_rates]
)
def test_labels_that_are_no_numbers_are_named(function, y, kind, message):
    width = {"widths": [4]} if function is fastntk.sweep else {"width": 4}
    with pytest.raises(kind, match=r"^y must ") as caught:
        function(PLAIN, y, steps=1, **width)
    assert message in str(caught.value)


class Holder:
    """What a library of one's own gives: `__array__` alone."""

    def __init__(self, values):
        self.values = np.array(values, dtype=object)

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)


def test_objects_that_are_numbers():
    values = [[1, 2.5, np.float32(0.5)], [Decimal("0.25"), Fraction(1, 4), np.True_]]
    for made in (Holder(values), np.array(values, dtype=object), values):
        np.testing.assert_array_equal(checks.matrix(made, "X"), [[1, 2.5, 0.5], [0.25, 0.25, 1]])


@pytest.mark.parametrize(
    ("entry", "kind", "message"),
    [
        (None, ValueError, "X must have no missing values, got None at index (1, 0)"),
        ("3.5", TypeError, "X must be real numbers, got '3.5' (str) at index (1, 0)"),
        (1j, TypeError, "X must be real numbers, got 1j (complex) at index (1, 0)"),
        (
            datetime.date(2020, 1, 2),
            TypeError,
            "X must be real numbers, got datetime.date(2020, 1, 2) (date) at index",
        ),
        (10**400, ValueError, "X must be within the range of float64, got 1000000000"),
        (float("nan"), ValueError, "X must be finite, got nan at index (1, 0)"),
    ],
)
def test_an_object_that_is_no_number_is_named_by_its_index(entry, kind, message):
    with pytest.raises(kind) as caught:
        checks.matrix(Holder([[1, 2], [entry, 3]]), "X")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"])
def test_numbers_of_ml_dtypes(name):
    values = np.array([[1.0, 2.0], [-3.0, 0.0]])
    found = checks.matrix(values.astype(getattr(ml_dtypes, name)), "X")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values)
    if name == "bfloat16":
        with pytest.raises(ValueError, match=r"X must be finite, got nan at index \(0, 1\)"):
            checks.matrix(np.array([[1, np.nan]], ml_dtypes.bfloat16), "X")


def test_numbers_beyond_the_precision_are_said_to_be_that():
    huge = np.array([[1, 2], [np.longdouble("1e400"), 3]])
    if np.isfinite(huge).all():  # where longdouble is longer than float64
        with pytest.raises(
            ValueError, match=r"X must be within the range of float64, got 1e\+400 at index \(1, 0\)"
        ):
            checks.matrix(huge, "X")
    with pytest.raises(
        ValueError, match=r"X must be within the range of float32, got 1e\+300 at index \(0, 0\)"
    ):
        checks.matrix([[1e300]], "X", np.float32)
