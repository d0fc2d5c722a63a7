"""Tables of pandas, polars and pyarrow, and arrays of Python objects, as arrays of numbers.

What is numeric is converted: integers, floats and booleans side by side, nullable and Arrow-backed columns, decimals.
The first entry that is none is named by its column and row. Nothing here imports one of these libraries.
"""

import numbers
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

__all__ = ["from_frame", "from_objects", "is_frame"]

_LIBRARIES = frozenset({"pandas", "polars", "pyarrow"})
_MISSING = frozenset({"NoneType", "NAType", "NaTType"})
_NUMERIC = (numbers.Real, np.bool_, Decimal)
_REAL_KINDS = "biuf"


def is_frame(value: Any) -> bool:
    """Whether `value` is a table or a column of pandas, polars or pyarrow, or of a class made from one of theirs."""
    return not _LIBRARIES.isdisjoint(kind.__module__.partition(".")[0] for kind in type(value).__mro__)


def from_frame(value: Any, name: str) -> np.ndarray:
    """A table (n, d) or a column (n,) as real numbers, none of them missing or infinite.

    pandas tables of one dtype are not copied. Others get the smallest dtype that holds all of their columns.
    """
    if hasattr(value, "collect"):
        raise TypeError(f"{name} must be in memory, got a {type(value).__name__}: pass {name}.collect()")
    if not hasattr(value, "columns"):
        return _column(value, name, lambda row=None: _cell(getattr(value, "name", None), value, row))
    kinds = set(getattr(value, "dtypes", ()))
    if len(kinds) == 1 and all(isinstance(kind, np.dtype) and kind.kind in _REAL_KINDS for kind in kinds):
        found = np.asarray(value)
        _require_finite(found, name, lambda row, column: _cell(_labels(value)[column], value, row))
        return found
    columns = [
        _column(_nth(value, j), name, lambda row=None, label=label: _cell(label, value, row))
        for j, label in enumerate(_labels(value))
    ]
    return np.stack(columns, axis=1) if columns else np.empty(value.shape)


def from_objects(found: np.ndarray, name: str, where: Callable[..., str] | None = None) -> np.ndarray:
    """An array of Python objects as float64; `where` names the place of an index in an error."""
    unknown = {kind for kind in set(map(type, found.flat)) if not issubclass(kind, _NUMERIC)}
    try:
        if not unknown:
            return found.astype(np.float64)
    except OverflowError:
        pass
    for index, entry in np.ndenumerate(found):
        place = (
            where(*index) if where else f" at index {index[0] if len(index) == 1 else index}" if index else ""
        )
        if type(entry).__name__ in _MISSING and place:
            raise ValueError(f"{name} must have no missing values, got {entry!r}{place}")
        if type(entry) in unknown:
            raise TypeError(f"{name} must be real numbers, got {_described(entry)}{place}")
        if not unknown and _too_large(entry):
            raise ValueError(f"{name} must be within the range of float64, got {_described(entry)}{place}")
    raise AssertionError("an array of objects was refused without a reason")


def _column(column: Any, name: str, where: Callable[..., str]) -> np.ndarray:
    """One column as real numbers; `where` names it, or the place of a row in it."""
    found = np.asarray(column)
    if found.dtype == object:
        found = from_objects(found, name, where)
    if found.dtype.kind not in _REAL_KINDS:
        raise TypeError(f"{name} must be real numbers, got dtype {found.dtype}{where()}")
    _require_finite(found, name, where)
    return found


def _require_finite(found: np.ndarray, name: str, where: Callable[..., str]) -> None:
    """ValueError for the first entry that is missing (which libraries turn into nan) or infinite."""
    if found.dtype.kind != "f" or np.isfinite(found).all():
        return
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
    what = "have no missing values" if np.isnan(found[index]) else "be finite"
    raise ValueError(f"{name} must {what}, got {found[index]}{where(*index)}")


def _nth(table: Any, j: int) -> Any:
    """Column `j` of a table, in which several may have one name."""
    if hasattr(table, "iloc"):
        return table.iloc[:, j]
    return table.to_series(j) if hasattr(table, "to_series") else table.column(j)


def _labels(table: Any) -> list[Any]:
    """Names of the columns; pyarrow's `columns` are the columns themselves."""
    return list(getattr(table, "column_names", table.columns))


def _cell(label: Any, table: Any, row: int | None = None) -> str:
    """The place of an entry in words: its column, if that has a name, and the label of its row, or its number."""
    index: Any = getattr(table, "index", None)
    parts = [f"column {label!r}"] if label not in (None, "") else []
    if row is not None:
        parts.append(f"row {index[row : row + 1].tolist()[0] if hasattr(index, 'tolist') else row!r}")
    return f" in {', '.join(parts)}" if parts else ""


def _described(entry: Any) -> str:
    text = repr(entry)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(entry).__name__})"


def _too_large(entry: Any) -> bool:
    try:
        float(entry)
    except OverflowError:
        return True
    return False
