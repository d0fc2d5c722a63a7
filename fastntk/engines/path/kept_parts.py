"""Parts that outlive their process: what each has come to is in a file, and a run that was cut off goes on from there.

A folder holds, of each part, its pattern at the start of each window, its share of each step, and its state after the
last one.  A run that begins with such a folder asks for the same steps in the same order; those that are done are read.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastntk.base.storage import atomic_write, ensure_folder, remove_leftovers
from fastntk.engines.path.part import Part
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.schedule import Schedule
from fastntk.engines.path.shares import Share
from fastntk.engines.path.teams import Here

__all__ = ["KeptParts", "Stale"]

_ARRAYS = {("numpy", "ndarray"), ("numpy", "dtype"), ("functools", "partial")}
_ARRAY_MAKERS = {"_reconstruct", "scalar", "_frombuffer"}


class Stale(Exception):
    """The files are those of a run whose numbers were others, on another processor perhaps."""


class KeptParts(Here):
    """Parts here, with a folder."""

    def __init__(self, problem: PathProblem, folder: Path) -> None:
        super().__init__(problem)
        self._folder, self._step, self._name = ensure_folder(folder), -1, ""
        remove_leftovers(folder)
        self._reached = [self._saved_step(number) for number in range(len(self._parts))]

    def _each(self, name: str, arguments: tuple[Any, ...]) -> Iterator[Share]:
        self._step, self._name = self._step + 1, f"{self._step + 1}-{_digest(name, arguments)}"
        yield from super()._each(name, arguments)

    def _after(self, number: int, name: str, arguments: tuple[Any, ...]) -> Part:
        """The part after a step, and its share."""
        share, rows = (self._folder / f"{kind}-{number}-{self._name}" for kind in ("share", "rows"))
        if self._step > self._reached[number]:
            after = super()._after(number, name, arguments)
            if name == "begin":
                with atomic_write(rows) as file:
                    np.save(file, self._rows[-1][self._cut(number)])
            self._write(share, number, after.share)
            self._write(self._folder / f"part-{number}", number, self._step, after.now(share=None))
            return after
        try:
            if name == "begin":
                self._rows[-1][self._cut(number)] = np.load(rows)
            (found,) = self._read(share, number)
        except FileNotFoundError:
            raise Stale from None
        if self._step < self._reached[number]:
            return self._parts[number].now(share=found)
        return self._read(self._folder / f"part-{number}", number)[1].now(share=found)

    def _saved_step(self, number: int) -> int:
        path = self._folder / f"part-{number}"
        if not path.exists():
            return -1
        with open(path, "rb") as file:
            return int(_PartReader(file, {}).load())

    def _known(self, number: int) -> dict[str, Any]:
        """What is not written with a part, since it is here."""
        problem = self._parts[number].problem
        views = {f"rows {window}": rows for window, rows in enumerate(self._rooms[number])}
        return {"problem": problem, "K": problem.inner(problem.dtype), **views}

    def _write(self, path: Path, number: int, *values: Any) -> None:
        with atomic_write(path) as file:
            for value in values:
                _PartWriter(file, self._known(number)).dump(value)

    def _read(self, path: Path, number: int) -> list[Any]:
        found = []
        with open(path, "rb") as file:
            while file.peek(1):
                found.append(_PartReader(file, self._known(number)).load())
        return found


class _PartWriter(pickle.Pickler):
    def __init__(self, file: Any, known: dict[str, Any]) -> None:
        super().__init__(file, protocol=5)
        self._names = {id(value): name for name, value in known.items()}

    def persistent_id(self, value: Any) -> str | None:
        """The name of what is not written."""
        return self._names.get(id(value))


class _PartReader(pickle.Unpickler):
    """Makes arrays and classes of this package only, whatever a file says."""

    def __init__(self, file: Any, known: dict[str, Any]) -> None:
        super().__init__(file)
        self._known = known

    def persistent_load(self, name: str) -> Any:
        """What was not written."""
        return self._known[name]

    def find_class(self, module: str, name: str) -> Any:
        """What modules of the path engine define, and what makes arrays."""
        makes_arrays = module.startswith("numpy.") and name in _ARRAY_MAKERS
        if makes_arrays or (module, name) in _ARRAYS:
            return super().find_class(module, name)
        if module.startswith("fastntk.engines.path."):
            found = super().find_class(module, name)
            if getattr(found, "__module__", None) == module:  # not what it imports
                return found
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of parts")


def _digest(name: str, arguments: tuple[Any, ...]) -> str:
    found = hashlib.sha256(name.encode())
    for one in arguments:
        for part in (one.rows, one.shown) if isinstance(one, Schedule) else (one,):  # whose text is cut short
            found.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return found.hexdigest()[:16]
