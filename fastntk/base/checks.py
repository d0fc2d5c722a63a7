"""Argument checks: every error names the argument, what it got and what it expects."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastntk.base.arrays import host_array

Float = np.float32 | np.float64
T = TypeVar("T")


def floating_dtype(dtype: npt.DTypeLike, name: str = "dtype") -> np.dtype:
    """``float32`` or ``float64`` as a NumPy dtype."""
    try:
        resolved = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{name} must be 'float32' or 'float64', got {dtype!r}") from None
    if resolved not in (np.float32, np.float64):
        raise ValueError(f"{name} must be 'float32' or 'float64', got {resolved.name!r}")
    return resolved


def array(value: Any, name: str, ndim: int, dtype: npt.DTypeLike | None = None) -> np.ndarray:
    """A non-empty, finite, C-contiguous float array of ``ndim`` dimensions, from anything `host_array` reads.

    float32 and float64 are kept unless ``dtype`` asks for one of them; integers and booleans become float64.
    """
    found = host_array(value, name, ndim)
    require_real(found, name, ndim)
    if dtype is None:
        dtype = found.dtype if found.dtype in (np.float32, np.float64) else np.float64
    with np.errstate(all="ignore"):
        converted = np.ascontiguousarray(found, dtype=dtype)
    if not all_finite(converted):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(converted))[0])
        index = where[0] if ndim == 1 else where
        if np.isfinite(found[where]):
            raise ValueError(
                f"{name} must be within the range of {converted.dtype}, got {found[where]!s} at index {index}"
            )
        raise ValueError(f"{name} must be finite, got {converted[where]} at index {index}")
    return converted


def all_finite(values: np.ndarray) -> bool:
    """Whether there is neither NaN nor infinity; without a temporary of the size of the data if so."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()  # finite if the values are, but for overflow
    return bool(np.isfinite(total) or np.isfinite(values).all())


def require_real(found: Any, name: str, ndim: int) -> None:
    """Raise unless an array, of any memory, holds real numbers in ``ndim`` dimensions and is not empty."""
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, got dtype {found.dtype}")
    if found.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {tuple(found.shape)}")
    if found.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {tuple(found.shape)}")


def matrix(value: Any, name: str, dtype: npt.DTypeLike | None = None, ndim: int = 2) -> np.ndarray:
    """A non-empty, finite, C-contiguous float matrix."""
    return array(value, name, ndim, dtype)


def vector(value: Any, name: str, size: int, of: str, dtype: npt.DTypeLike | None = None) -> np.ndarray:
    """A finite float vector with one entry for each of the ``size`` rows of ``of``."""
    found = host_array(value, name, 1)
    if found.ndim == 2:
        why = "several outputs are not supported" if found.shape[1] > 1 else "pass its one column"
        raise ValueError(f"{name} must have 1 dimension(s), got shape {found.shape}: {why}")
    found = array(found, name, 1, dtype)
    require_size(found, name, size, of)
    return found


def require_size(found: Any, name: str, size: int, of: str) -> None:
    """Raise unless a vector, of any memory, has one entry for each of the ``size`` rows of ``of``."""
    if found.size != size:
        raise ValueError(f"{name} must have one entry for each row of {of} ({size}), got {found.size}")


def representable(values: np.ndarray, name: str, dtype: npt.DTypeLike) -> None:
    """Raise unless all ``values`` stay finite when they are rounded to ``dtype``."""
    kind = np.dtype(dtype)
    largest = max(-float(values.min()), float(values.max()))
    if not largest <= float(np.finfo(kind).max):
        raise ValueError(f"{name} must be within the range of {kind.name}, got {largest:.3g}")


def same_columns(left: Any, left_name: str, right: Any, right_name: str) -> None:
    """Raise unless both matrices, of any memory, have the same number of columns."""
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"{left_name} and {right_name} must have the same number of columns, "
            f"got {left.shape[1]} and {right.shape[1]}"
        )


def integer(value: Any, name: str, at_least: int) -> int:
    """An integer (bool excluded) not below ``at_least``."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if found < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {found}")
    return found


def neuron_range(first: Any, last: Any, width: int) -> tuple[int, int]:
    """The neurons ``first ... last - 1`` of a network, perhaps none."""
    begin, end = integer(first, "first", 0), integer(last, "last", 0)
    if not begin <= end <= width:
        raise ValueError(
            f"first and last must be ascending and at most the width ({width}), got {begin} and {end}"
        )
    return begin, end


def distinct_integers(values: Iterable[int], name: str, at_least: int) -> list[int]:
    """Distinct integers, ascending."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of integers, got {values!r}")
    numbers = sorted({integer(value, name, at_least) for value in values})
    if not numbers:
        raise ValueError(f"{name} must hold at least one integer, got none")
    return numbers


def _number(value: Any, name: str) -> float:
    if isinstance(value, (str, bytes, bool, np.bool_)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None


def positive(value: Any, name: str) -> float:
    """A finite number above zero."""
    found = _number(value, name)
    if not 0.0 < found < np.inf:
        raise ValueError(f"{name} must be finite and above 0, got {value!r}")
    return found


def nonnegative(value: Any, name: str) -> float:
    """A finite number that is zero or above."""
    found = _number(value, name)
    if not 0.0 <= found < np.inf:
        raise ValueError(f"{name} must be finite and 0 or above, got {value!r}")
    return found


def instance(value: Any, name: str, kind: type[T], known: Mapping[str, type[T]], others: str) -> T:
    """An object of that kind, or the one that a ``known`` word stands for; errors name the ``others``."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value in known:
        return known[value]()
    raise ValueError(f"{name} must be one of {', '.join(map(repr, known))} or {others}, got {value!r}")


def choice(value: Any, name: str, known: tuple[str, ...]) -> str:
    """One of the ``known`` words."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    return str(value)
