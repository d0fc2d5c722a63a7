"""Data: points on the sphere, the data of the published experiment, and CSV files.

Every function deals in ``X (n, d)`` and ``y (n,)``, both float64.
"""

import csv
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastntk import checks
from fastntk.arrays import host_array
from fastntk.storage import atomic_write

__all__ = ["labels", "load_csv", "save_csv", "slides", "sphere"]

Data = tuple[NDArray[np.float64], NDArray[np.float64]]


def sphere(n: int, d: int, seed: int = 0) -> Data:
    """Uniform points on the unit sphere with standard normal labels.

    Parameters
    ----------
    n, d : int
        Number of points and their dimension, at least 1.
    seed : int
        Seed of ``numpy.random.default_rng``.

    Returns
    -------
    X : array of float64, shape (n, d)
        Rows of length 1 (to rounding).
    y : array of float64, shape (n,)

    Raises
    ------
    TypeError, ValueError
        When n, d or seed is not an integer, or is too small.

    Notes
    -----
    n (d + 1) normal draws. The setting of Du et al. (arXiv 1810.02054), section 5.

    Examples
    --------
    >>> X, y = sphere(5, 3, seed=1)
    >>> X.shape, y.shape, bool(np.allclose(np.linalg.norm(X, axis=1), 1))
    ((5, 3), (5,), True)
    """
    n, d, seed = checks.integer(n, "n", 1), checks.integer(d, "d", 1), checks.integer(seed, "seed", 0)
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, rng.standard_normal(n)


def slides(n: int = 1000, d: int = 1000, seed: int = 1234) -> Data:
    """Draw the data of the published experiment: `sphere` from the legacy random stream of NumPy.

    It repeats, digit for digit, ``np.random.seed(1234); X = np.random.normal(size=(1000, 1000));
    X /= np.linalg.norm(X, axis=1, keepdims=True); y = np.random.normal(size=1000)`` without touching the global state.

    Parameters
    ----------
    n, d : int
        Number of points and their dimension, at least 1.
    seed : int
        Seed of ``numpy.random.RandomState``, from 0 to 2**32 - 1.

    Returns
    -------
    X : array of float64, shape (n, d)
    y : array of float64, shape (n,)

    Raises
    ------
    TypeError, ValueError
        When n, d or seed is not an integer, or is out of range.

    Notes
    -----
    NumPy keeps this stream frozen: the numbers are the same in every version. A smaller n or d gives other points, not
    a part of these.

    Examples
    --------
    >>> X, y = slides()
    >>> X.shape, y.shape
    ((1000, 1000), (1000,))
    """
    n, d, seed = checks.integer(n, "n", 1), checks.integer(d, "d", 1), checks.integer(seed, "seed", 0)
    if seed >= 2**32:
        raise ValueError(f"seed must be below 2**32 for the legacy stream, got {seed}")
    stream = np.random.RandomState(seed)
    X = stream.normal(size=(n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, stream.normal(size=n)


def labels(X: ArrayLike, kind: str = "gaussian", index: int = 0, seed: int = 0) -> NDArray[np.float64]:
    """Labels for given samples: noise, signs, or a direction that gradient descent learns at one rate.

    Parameters
    ----------
    X : array_like, shape (n, d)
    kind : {"gaussian", "sign", "eigenvector"}
        ``y ~ N(0, I)``; ``y_i ~ unif{-1, +1}``; or ``sqrt(n) v`` for a unit eigenvector v of the limit kernel H_inf, so
        that its entries are of order 1 like the others, with the first entry that is not small positive.
    index : int
        Which eigenvector: 0 belongs to the smallest eigenvalue, which is the slowest direction, 1 to the next, and
        -1 to the largest.
    seed : int
        Seed of ``numpy.random.default_rng`` for the random kinds.

    Returns
    -------
    array of float64, shape (n,)

    Raises
    ------
    TypeError, ValueError
        For an unknown kind, or an index outside -n, ..., n - 1.

    Notes
    -----
    With labels ``v_i`` the linearised loss falls as ``(1 - lr lambda_i)^{2k}``: Du et al. (arXiv 1810.02054) bound the
    slowest of these rates, Arora et al. (arXiv 1901.08584) use them all. An eigenvector costs O(n^3).

    Examples
    --------
    >>> labels([[1.0, 0.0], [0.6, 0.8]], "eigenvector", index=-1).round(6)
    array([1., 1.])
    """
    samples = checks.matrix(X, "X")
    n = len(samples)
    checks.choice(kind, "kind", ("gaussian", "sign", "eigenvector"))
    seed = checks.integer(seed, "seed", 0)
    if kind != "eigenvector":
        rng = np.random.default_rng(seed)
        drawn = rng.standard_normal(n) if kind == "gaussian" else 2 * rng.integers(0, 2, n) - 1
        return np.asarray(drawn, dtype=np.float64)
    from scipy.linalg import eigh

    from fastntk.limit import limit_gram

    index = checks.integer(index, "index", -n)
    if index >= n:
        raise ValueError(f"index must be below the number of samples ({n}), got {index}")
    place = index % n
    vector = eigh(limit_gram(samples), subset_by_index=[place, place])[1][:, 0]
    first = int(np.argmax(np.abs(vector) > 1e-6))
    return np.asarray(math.sqrt(n) * np.copysign(1.0, vector[first]) * vector, dtype=np.float64)


def load_csv(path: str | os.PathLike[str]) -> Data:
    r"""Read samples and labels from a CSV file with a header row; the last column is y.

    Parameters
    ----------
    path : str or path-like
        UTF-8 text, comma separated. Blank lines are skipped.

    Returns
    -------
    X : array of float64, shape (n, d)
    y : array of float64, shape (n,)

    Raises
    ------
    ValueError
        When the file cannot be read, is empty, has no header row or no data, has rows of different length, or holds
        something that is not a finite number. The message names the file, the line and the column.

    Notes
    -----
    About 0.4 s for 1000 x 1001 numbers. What `save_csv` wrote is read back bit for bit.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "data.csv"
    >>> _ = path.write_text("height,weight,y\n1,2,3\n4,5,6\n")
    >>> load_csv(path)
    (array([[1., 2.],
           [4., 5.]]), array([3., 6.]))
    """
    name = repr(os.fspath(path))
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(_parse(csv.reader(file), name))
    except OSError as error:
        raise ValueError(f"cannot read {name}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {name}: it is not UTF-8 text ({error.reason})") from error
    table = np.stack(rows)
    return np.ascontiguousarray(table[:, :-1]), table[:, -1].copy()


def save_csv(path: str | os.PathLike[str], X: ArrayLike, y: ArrayLike) -> None:
    """Write samples and labels as a CSV file that `load_csv` reads back bit for bit.

    Parameters
    ----------
    path : str or path-like
        An existing file is replaced; it appears only when it is complete.
    X : array_like, shape (n, d)
    y : array_like, shape (n,)

    Raises
    ------
    ValueError
        When the shapes do not fit or a number is not finite.
    OSError
        When the file cannot be written; nothing is left behind.

    Notes
    -----
    The header is 0, 1, ..., d - 1, y, which is what pandas writes for the data of the published experiment. Every
    number is the shortest decimal that gives the same float64. About 0.8 s for 1000 x 1001 numbers.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "data.csv"
    >>> save_csv(path, [[0.1, 1e-300], [2.0, 3.0]], [-1.0, 1.0])
    >>> path.read_text().splitlines()
    ['0,1,y', '0.1,1e-300,-1.0', '2.0,3.0,1.0']
    """
    X = np.asarray(host_array(X, "X", 2), dtype=np.float64)
    y = np.asarray(host_array(y, "y", 1), dtype=np.float64)
    if X.ndim != 2 or X.size == 0:
        raise ValueError(f"X must have shape (n, d) with n, d >= 1, got {X.shape}")
    if y.shape != X.shape[:1]:
        raise ValueError(f"y must have shape ({X.shape[0]},) to fit X, got {y.shape}")
    for name, array in (("X", X), ("y", y)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    with atomic_write(path) as file:
        file.write((",".join([*map(str, range(X.shape[1])), "y"]) + "\n").encode())
        for features, label in zip(X, y.tolist(), strict=True):
            file.write((",".join(map(repr, [*features.tolist(), label])) + "\n").encode())


def _parse(reader: Any, name: str) -> Iterator[NDArray[np.float64]]:
    """Check the header and yield the data rows one by one; `reader` is what ``csv.reader`` returns."""
    header: list[str] | None = None
    empty = True
    try:
        for fields in reader:
            if not fields or fields == [""] or all(field.isspace() for field in fields):
                continue
            if header is None:
                header = _checked_header(fields, name, reader.line_num)
                continue
            if len(fields) != len(header):
                raise ValueError(
                    f"{name}, line {reader.line_num}: {len(fields)} columns, the header has {len(header)}"
                )
            empty = False
            yield _numbers(fields, header, name, reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: not a CSV file ({error})") from error
    if header is None:
        raise ValueError(f"{name} is empty: a header row and at least one row of numbers are expected")
    if empty:
        raise ValueError(f"{name} has a header but no rows of numbers")


def _checked_header(fields: list[str], name: str, line: int) -> list[str]:
    """Return the header, unless it is too short or looks like data."""
    if len(fields) < 2:
        raise ValueError(f"{name}, line {line}: at least two columns are expected (features, then y), got 1")
    if all(_is_number(field) for field in fields):
        raise ValueError(f"{name}, line {line}: a header row is expected, got only numbers")
    return fields


def _is_number(field: str) -> bool:
    """Whether `field` is a number as CSV files write them; Python's own 1_000 is not."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


def _numbers(fields: list[str], header: list[str], name: str, line: int) -> NDArray[np.float64]:
    """One row as float64. The loop over columns runs only when something is wrong."""
    try:
        row = np.fromiter(map(float, fields), np.float64, len(fields))
        if np.isfinite(row).all() and "_" not in "".join(fields):
            return row
    except ValueError:
        pass
    for column, field in enumerate(fields):
        where = f"{name}, line {line}, column {column + 1} ({header[column]!r})"
        if not _is_number(field):
            raise ValueError(f"{where}: {field!r} is not a number")
        if not math.isfinite(float(field)):
            raise ValueError(f"{where}: {field!r} is not finite")
    raise AssertionError("a row was refused without a reason")
