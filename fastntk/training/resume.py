"""Which runs of a sweep a folder already holds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from fastntk.base.version import number_series, package_version
from fastntk.results import Run
from fastntk.results.archive import read_archive
from fastntk.training.samples import Samples
from fastntk.training.settings import Settings, completed

__all__ = ["finished_runs", "parts_folder", "run_file"]


def run_file(width: int, seed: int) -> str:
    """Name the file in which a sweep keeps one run."""
    return f"run-w{width}-s{seed}.npz"


def parts_folder(
    width: int, seed: int, samples: Samples, settings: Settings, digest: str | None = None
) -> str:
    """Name the folder of what an unfinished run has come to: that of other data or settings is another one."""
    if digest is None:
        asked = [package_version(), samples.description["sha256"], settings.record()]
        digest = hashlib.sha256(repr(asked).encode()).hexdigest()[:12]
    return f"{run_file(width, seed).removesuffix('.npz')}.{digest}.unfinished"


def finished_runs(
    folder: Path, pairs: list[tuple[int, int]], shared: dict[str, Any]
) -> dict[tuple[int, int], Run]:
    """Load the runs of this sweep that `folder` already holds; a run of anything else is an error.

    So is one of another minor version of fastntk, since numbers may differ between these.
    """
    found = {}
    for width, seed in pairs:
        path = folder / run_file(width, seed)
        if not path.exists():
            continue
        header, arrays = read_archive(path)
        wanted = completed(shared | {"width": width, "seed": seed})
        got = completed(header["provenance"].get("sweep", {}) if header["kind"] == "Run" else {})
        differing = [key for key in wanted | got if got.get(key) != wanted.get(key)]
        if differing:
            stored = ", ".join(f"{key}={_brief(got.get(key))}" for key in differing)
            asked = ", ".join(f"{key}={_brief(wanted.get(key))}" for key in differing)
            raise ValueError(
                f"out: {str(path)!r} holds a run with {stored}, but this sweep has {asked}; "
                "choose another folder or remove that file"
            )
        _require_same_numbers(path, header["provenance"])
        found[width, seed] = Run.from_arrays(arrays, header["provenance"])
    return found


def _require_same_numbers(path: Path, record: dict[str, Any]) -> None:
    """Refuse a run of a version whose numbers may not be those of this one."""
    made, present = record.get("environment", {}).get("fastntk"), package_version()
    if number_series(made) != number_series(present):
        raise ValueError(
            f"out: {str(path)!r} was made by fastntk {made or 'of an unknown version'}, this is fastntk {present}, and "
            "their numbers may differ: choose another folder, remove that file, or go on with that version"
        )


def _brief(value: Any) -> str:
    """Shorten a setting for an error message; hashes lose their tail."""
    return value[:12] if isinstance(value, str) and len(value) == 64 else repr(value)
