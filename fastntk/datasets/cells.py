"""The cells of a table of numbers: what they stand for, and errors that say where."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastntk.datasets.dialect import is_missing, is_number

__all__ = ["Cells"]


@dataclass
class Cells:
    """The cells of one file, as far as its form is known."""

    file: str
    decimal: str = "."
    named: bool = False  # whether the first row gave the names
    names: list[str] = field(default_factory=list)  # of all columns; empty ones if they have none

    def called(self, j: int) -> str:
        """A column in the words of an error."""
        return f"column {j + 1}" + (f" ({self.names[j]!r})" if self.named else "")

    def point(self, cell: str) -> str:
        """A number with a decimal point instead of the file's mark."""
        return cell.replace(",", ".") if self.decimal == "," and "." not in cell else cell

    def whole(self, line: int, cells: list[str]) -> list[str]:
        """The cells of all columns; more of them, or fewer, are an error."""
        width = len(self.names)
        if len(cells) < width or any(cell.strip() for cell in cells[width:]):
            first = "the header" if self.named else "the first row"
            raise ValueError(f"{self.file}, line {line}: {len(cells)} columns, {first} has {width}")
        return cells[:width]

    def numbers(self, line: int, cells: list[str], columns: Sequence[int]) -> NDArray[np.float64]:
        """Cells of some columns as float64. The loop over columns runs only when something is wrong."""
        chosen = cells if self.decimal == "." else [self.point(cell) for cell in cells]
        mixed = self.decimal == "," and "." in "".join(cells)
        try:
            row = np.fromiter(map(float, chosen), np.float64, len(chosen))
            if np.isfinite(row).all() and "_" not in "".join(chosen) and not mixed:
                return row
        except ValueError:
            pass
        for j, cell, number in zip(columns, cells, chosen, strict=True):
            where = f"{self.file}, line {line}, {self.called(j)}: {cell!r}"
            if self.decimal == "," and "." in cell:
                raise ValueError(f"{where} has a point, but other numbers of the file have decimal commas")
            if not is_number(number):
                raise ValueError(f"{where} is not a number")
            if not math.isfinite(float(number)):
                raise ValueError(f"{where} is not finite")
        raise AssertionError("a row was refused without a reason")

    def signs_or_numbers(
        self, label: int, found: list[tuple[int, str]], signs: bool
    ) -> tuple[NDArray[np.float64], tuple[str, str] | None]:
        """Labels as numbers, or as the signs of two classes."""
        if not signs:
            for line, cell in found:
                if not is_number(self.point(cell)) and not is_missing(cell):
                    raise ValueError(
                        f"{self.file}, line {line}, {self.called(label)}: {cell!r} is not a number; signs=True "
                        "(--signs) makes -1 and +1 of two classes, labels=None (--labels none) reads features alone"
                    )
            return np.concatenate([self.numbers(line, [cell], [label]) for line, cell in found]), None
        values = sorted({cell.strip() for _, cell in found}, key=_rank)
        for line, cell in found:
            if is_missing(cell):
                raise ValueError(
                    f"{self.file}, line {line}, {self.called(label)}: {cell!r} is a missing label"
                )
        if len(values) != 2:
            shown = ", ".join(map(repr, values[:5])) + (", ..." if len(values) > 5 else "")
            raise ValueError(
                f"{self.file}, {self.called(label)}: signs=True (--signs) takes labels of two classes, got "
                f"{len(values)}: {shown}"
            )
        return np.array([1.0 if cell.strip() == values[1] else -1.0 for _, cell in found]), (
            values[0],
            values[1],
        )


def _rank(cell: str) -> tuple[bool, float, str]:
    """The order of labels: numbers by size, then words by letter."""
    return (False, float(cell), "") if is_number(cell) else (True, 0.0, cell)
