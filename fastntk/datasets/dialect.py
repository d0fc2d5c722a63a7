"""How a table of numbers was written as text: its separator, its decimal mark, and whether its first row is a header.

`csv.Sniffer` decides by the letters that repeat, and takes the decimal commas of ``1,5;2,5`` for separators. Here a
separator must cut all rows into equally many cells, and a header must name columns whose other cells are numbers.
"""

import csv
import re
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = [
    "SEPARATORS",
    "counts_rows",
    "decimal_mark",
    "find_separator",
    "has_header",
    "is_missing",
    "is_number",
    "is_numeric",
    "split",
]

SEPARATORS = {"\t": "tab", ";": "';'", "|": "'|'", ",": "','", " ": "space"}
"""In the order in which they are tried: a file with commas alone has no other of them in every row."""

_MISSING = frozenset({"", "?", "-", ".", "na", "n/a", "nan", "null", "none", "<na>"})
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"-?\d+")
_INDEX_NAME = re.compile(
    r"(?i:unnamed: ?\d+|level_0|#|n[or]\.?|(.*[ _.-])?(id|idx|index)|row([ _.-]?(names?|num|number|n[or]))?)|.*[a-z]I[dD]"
)


def split(lines: Any, separator: str) -> Any:
    """A reader of the cells of `lines`."""
    return csv.reader(lines, delimiter=separator, skipinitialspace=True)


def find_separator(lines: list[str]) -> str:
    """The first separator that cuts all `lines` into equally many cells, else the one that cuts most of them."""
    best, most = ",", 0
    for separator in SEPARATORS:
        try:
            counts = [len(cells) for cells in split(lines, separator) if any(cells)]
        except csv.Error:
            continue
        rest = counts[1:] or counts
        if counts and min(rest) == max(rest) > 1 and rest[0] - counts[0] in (0, 1):  # 1: R names its rows
            return separator
        cut = sum(count > 1 for count in counts)
        if cut > most and separator != " ":
            best, most = separator, cut
    return best


def is_number(cell: str) -> bool:
    """Whether `cell` is a number as files have them; Python's own 1_000 is not."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def is_missing(cell: str) -> bool:
    """Whether `cell` stands for a value that is not there."""
    return cell.strip().lower() in _MISSING


def decimal_mark(rows: list[list[str]], separator: str) -> str:
    """A comma where cells such as 1,5 are found between other separators, else a point."""
    cells = (cell.strip() for row in rows for cell in row)
    return "," if separator != "," and any(map(_DECIMAL_COMMA.fullmatch, cells)) else "."


def has_header(rows: list[list[str]]) -> bool | None:
    """Whether the first of some rows, whose numbers have decimal points, names the columns; None where both may be."""
    first, body = rows[0], rows[1:]
    numeric = [is_numeric([row[j] for row in body if j < len(row)]) for j in range(len(first))]
    names = [
        cell
        for cell, column in zip(first, numeric, strict=True)
        if (column or not body) and not is_number(cell) and not is_missing(cell)
    ]
    numbers = [cell.strip() for cell in first if is_number(cell) and not is_missing(cell)]
    if names:
        return True if not numbers or _counted(numbers) else None
    unnamed = not first[0].strip()
    if not numbers or len(numbers) < len(first) - unnamed or not _counted(numbers):
        return False
    # The names 0, 1, ... that pandas gives; certain only after the empty one of its index.
    return True if unnamed else None if numbers[0] == "0" else False


def _counted(numbers: list[str]) -> bool:
    """Whether numbers may be names: places, which count from 0 or 1, or years."""
    if not all(map(_INTEGER.fullmatch, numbers)):
        return False
    if len(numbers) == 1:
        return numbers[0] in ("0", "1")
    return all(int(b) - int(a) == 1 for a, b in pairwise(numbers))


def counts_rows(name: str, column: np.ndarray) -> bool:
    """Whether a column looks like the index of its rows: such a name, and integers that all differ, in order."""
    if not _INDEX_NAME.fullmatch(name.strip()) or (column != np.floor(column)).any():
        return False
    steps = np.diff(column)
    return bool((steps > 0).all() or (steps < 0).all()) and (len(column) > 1 or column[0] in (0.0, 1.0))


def is_numeric(cells: list[str]) -> bool:
    """Whether most cells of a column that are there are numbers."""
    present = [cell for cell in cells if not is_missing(cell)]
    return sum(map(is_number, present)) * 2 > len(present)
