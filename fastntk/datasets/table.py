"""A table of numbers in a text file: which columns are features, which one is the label, and what was found."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.base.storage import user_path
from fastntk.datasets.cells import Cells
from fastntk.datasets.dialect import (
    SEPARATORS,
    counts_rows,
    decimal_mark,
    find_separator,
    has_header,
    is_numeric,
    split,
)

__all__ = ["Table", "read_table"]

Column = str | int
Row = tuple[int, list[str]]

_SAMPLE = 200  # lines from which the form of a file is found
_INDEX_NAMES = ("", "Unnamed: 0")
_LABEL_NAMES = frozenset(
    {"y", "label", "labels", "target", "targets", "class", "species", "output", "response"}
)
_BINARY = {
    b"\x93NUMPY": "a .npy file",
    b"PK\x03\x04": "a zip archive (.npz, .xlsx)",
    b"\x89HDF": "an HDF5 file",
}


@dataclass(frozen=True)
class Table:
    """Samples, labels, and how they were found.

    Attributes
    ----------
    X : array of float64, shape (n, d)
    y : array of float64, shape (n,), or None
    label : str or None
        Name of the label's column, or its place.
    classes : tuple of str or None
        The values of the label that became -1 and +1.
    separator, decimal : str
    header : bool
        Whether the first row gave the names.
    dropped : list of str
        Columns that were left out.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64] | None
    label: str | None
    classes: tuple[str, str] | None
    separator: str
    decimal: str
    header: bool
    dropped: list[str]

    def __str__(self) -> str:
        parts = [f"n = {self.X.shape[0]}", f"d = {self.X.shape[1]}"]
        left = "labels from" if self.y is not None else "left out as labels:"
        parts.append("no labels" if self.label is None else f"{left} {self.label}")
        if self.classes is not None:
            parts[-1] += f" ({self.classes[0]!r} is -1, {self.classes[1]!r} is +1)"
        parts += [f"separator {SEPARATORS.get(self.separator, repr(self.separator))}"]
        parts += ["decimal comma"] if self.decimal == "," else []
        parts += ["header" if self.header else "no header"]
        parts += [f"dropped: {', '.join(self.dropped)}"] if self.dropped else []
        return ", ".join(parts)


def read_table(
    path: str | os.PathLike[str],
    *,
    labels: Column | None = "last",
    signs: bool = False,
    drop: Sequence[Column] | None = None,
    header: bool | None = None,
    separator: str | None = None,
    targets: bool = True,
) -> Table:
    """Read a table; the arguments and errors of `fastntk.datasets.load_csv`.

    Without `targets` the labels are left out unread; their column "named" is then the last one if its name or its cells
    say so, and an error that asks for it if they do not.
    """
    name = repr(os.fspath(path))
    path = user_path(path)
    if drop is not None and (isinstance(drop, str) or not isinstance(drop, Iterable)):
        raise TypeError(f"drop must be a list of columns, got {drop!r}")
    if header not in (None, True, False):
        raise TypeError(f"header must be True, False or None, got {header!r}")
    if separator is not None and not (isinstance(separator, str) and len(separator) == 1):
        raise ValueError(f"separator must be one character, got {separator!r}")
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
        for magic, what in _BINARY.items():
            if start.startswith(magic):
                raise ValueError(f"cannot read {name}: it is {what}, a text file of rows is expected")
        coding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        with open(path, encoding=coding, newline="") as file:
            return _Reader(name, labels=labels, signs=signs, drop=drop, targets=targets).read(
                file, header, separator
            )
    except OSError as error:
        raise ValueError(f"cannot read {name}: {error.strerror or error}") from error
    except UnicodeError as error:
        reason = getattr(error, "reason", error)
        raise ValueError(f"cannot read {name}: it is not UTF-8 text ({reason})") from error


@dataclass(kw_only=True)
class _Reader(Cells):
    """The reading of one file: its cells, and what was asked for."""

    labels: Column | None
    signs: bool
    drop: Sequence[Column] | None
    targets: bool

    def read(self, lines: Iterator[str], header: bool | None, separator: str | None) -> Table:
        """Find the form of the file in its first lines, then read it row by row."""
        lines = ("\n" if line.lstrip().startswith("#") else line for line in lines)
        head = list(islice(lines, _SAMPLE))
        cut = find_separator(head) if separator is None else separator
        rows = self._rows(split(chain(head, lines), cut))
        sample = list(islice(rows, _SAMPLE))
        if not sample:
            raise ValueError(f"{self.file} is empty: at least one row of numbers is expected")
        self.decimal = decimal_mark([cells for _, cells in sample], cut)
        self.named = self._has_header(sample, header)
        if self.named and len(sample) == 1:
            raise ValueError(f"{self.file} has a header but no rows of numbers")
        self.names = self._names(sample)
        data = chain(sample[1:] if self.named else sample, rows)
        if self.labels == "named":
            self.labels = self._last_if_named(sample)
        label, features, dropped = self._columns(sample[0][0], cut)
        table, found = [], []
        for line, cells in data:
            cells = self.whole(line, cells)
            table.append(self.numbers(line, [cells[j] for j in features], features))
            if label is not None and self.targets:
                found.append((line, cells[label]))
        y, classes = (
            self.signs_or_numbers(label, found, self.signs)
            if label is not None and self.targets
            else (None, None)
        )
        X = np.stack(table)
        self._refuse_index(X, features, label, y)
        chosen = None if label is None else self.called(label)
        dropped_names = [self.called(j) for j in dropped]
        return Table(X, y, chosen, classes, cut, self.decimal, self.named, dropped_names)

    def _rows(self, reader: Any) -> Iterator[Row]:
        """Rows that are not blank, each with the number of its line."""
        try:
            for cells in reader:
                if any(cell and not cell.isspace() for cell in cells):
                    yield reader.line_num, cells
        except csv.Error as error:
            raise ValueError(f"{self.file}, line {reader.line_num}: not a CSV file ({error})") from error

    def _has_header(self, sample: list[Row], asked: bool | None) -> bool:
        if asked is not None:
            return asked
        found = has_header([[self.point(cell) for cell in cells] for _, cells in sample])
        if found is None:
            raise ValueError(
                f"{self.file}, line {sample[0][0]}: it may be a header or data, say header=True or header=False "
                "(--header, --no-header)"
            )
        return found

    def _names(self, sample: list[Row]) -> list[str]:
        """Names of all columns, without empty ones at the end; R's header is one name short of its rows."""
        bodies = [cells for _, cells in (sample[1:] if self.named else sample)]
        names = [cell.strip() for cell in sample[0][1]] if self.named else [""] * len(bodies[0])
        if self.named and {len(cells) for cells in bodies} == {len(names) + 1} and all(c[-1] for c in bodies):
            names = ["", *names]
        while (
            names and not names[-1] and not any("".join(cells[len(names) - 1 :]).strip() for cells in bodies)
        ):
            names.pop()
        return names

    def _columns(self, line: int, separator: str) -> tuple[int | None, list[int], list[int]]:
        """The label's column, those of the features, and those that are left out."""
        dropped = sorted({self._place(column, "drop") for column in self.drop or ()})
        kept = [j for j in range(len(self.names)) if j not in dropped]
        if self._seeks_index and 0 in kept and self.names[0] in _INDEX_NAMES:
            raise ValueError(
                f"{self.file}, line {line}: the first column has no name, as the index that pandas and R write: leave "
                "it out with drop=[1] (--drop 1), or use it as a feature with drop=[] (--drop none)"
            )
        label = None
        if self.labels is not None and kept:
            label = kept[-1] if self.labels == "last" else self._place(self.labels, "labels")
        features = [j for j in kept if j != label]
        if not features:
            raise ValueError(
                f"{self.file}, line {line}: at least two columns are expected (features, then y), got {len(kept)} with "
                f"the separator {SEPARATORS.get(separator, repr(separator))}; labels=None (--labels none) takes all as "
                "features, separator= (--separator) another separator"
            )
        return label, features, dropped

    @property
    def _seeks_index(self) -> bool:
        """Whether a column may be the index of the rows: an empty list of what to drop says that none is."""
        return self.named and (self.drop is None or len(self.drop) > 0)

    def _refuse_index(self, X: NDArray[np.float64], features: list[int], label: int | None, y: Any) -> None:
        """ValueError if a feature, or a label that nobody named, numbers the rows: by its name and by its values."""
        unsaid = self.named and self.labels == "last" and y is not None
        if unsaid and label is not None and counts_rows(self.names[label], y):
            raise ValueError(
                f"{self.file}: {self.called(label)} numbers the rows: say with labels= (--labels) which column is y"
            )
        for j, column in zip(features, X.T, strict=True):
            if self._seeks_index and counts_rows(self.names[j], column):
                raise ValueError(
                    f"{self.file}: {self.called(j)} numbers the rows: leave it out with drop=[{self.names[j]!r}] "
                    f"(--drop {j + 1}), or use it as a feature with drop=[] (--drop none)"
                )

    def _last_if_named(self, sample: list[Row]) -> Column:
        """The last column, if it is plain that it has labels and no feature."""
        cells = [self.point(row[len(self.names) - 1]) for _, row in sample[1:] if len(row) >= len(self.names)]
        if self.names[-1].lower() in _LABEL_NAMES or not is_numeric(cells):
            return "last"
        column = (
            f"the last column ({self.names[-1]!r})" if self.named else "the last column, which has no name,"
        )
        raise ValueError(
            f"{self.file}: {column} may be a feature or y: --labels none takes it as a feature, --labels last "
            "leaves it out"
        )

    def _place(self, column: Column, option: str) -> int:
        """Index of a column that is given by its name or by its place, from 1."""
        if isinstance(column, str) and self.names.count(column) == 1:
            return self.names.index(column)
        try:
            place = int(column)
        except (TypeError, ValueError):
            place = 0
        if not 1 <= place <= len(self.names) or self.names.count(str(column)) > 1:
            shown = ", ".join(repr(name) for name in self.names[:10]) if self.named else "no names"
            raise ValueError(
                f"{option} must be the name of one column or its place from 1 to {len(self.names)}, got {column!r}; "
                f"{self.file} has {shown}"
            )
        return place - 1
