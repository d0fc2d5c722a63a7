"""File formats of results: .npz archives (plain arrays and one JSON header, no pickle) and tidy CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.base.storage import atomic_write, user_path

__all__ = ["read_archive", "write_archive", "write_csv", "write_json"]

_FORMAT = 1


def write_csv(path: str | os.PathLike[str], rows: list[dict[str, Any]]) -> Path:
    """Write tidy rows as CSV with a header; floats keep all their digits, None becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
    return user_path(path)


def write_json(path: str | os.PathLike[str], record: Mapping[str, Any]) -> Path:
    """Write a record as indented JSON."""
    text = json.dumps(record, indent=2, default=_plain) + "\n"
    with atomic_write(path) as file:
        file.write(text.encode())
    return user_path(path)


def write_archive(
    path: str | os.PathLike[str], kind: str, header: dict[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> Path:
    """One .npz file: the arrays plus a JSON header stored as bytes."""
    text = json.dumps({"fastntk": kind, "format": _FORMAT, **header}, default=_plain)
    with atomic_write(path) as file:
        # A file object, not the name: np.savez would append ".npz" to a name without it.
        members: dict[str, Any] = {"header": np.frombuffer(text.encode(), dtype=np.uint8), **arrays}
        np.savez(file, **members)
    return user_path(path)


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header (with `kind`) and arrays of a file that `write_archive` made."""
    try:
        with open(user_path(path), "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes().decode())
        kind, version = header.pop("fastntk"), header.pop("format")
    except (ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{str(path)!r} is not a readable fastntk result file ({error})") from None
    if kind not in ("Run", "Sweep") or version > _FORMAT:
        raise ValueError(
            f"{str(path)!r} holds a {kind!r} of format {version}, "
            f"this version of fastntk reads Run and Sweep up to format {_FORMAT}"
        )
    return {"kind": kind, **header}, arrays


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays inside a provenance record, as JSON knows them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"provenance: {type(value).__name__} cannot be written as JSON")
