"""What commands print and write: tables for people, matrices and records for programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastntk.base.storage import atomic_write, ensure_parent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastntk.results import Sweep

__all__ = [
    "check_matrix_path",
    "print_summary",
    "show_in_browser",
    "table_text",
    "write_matrix",
    "write_provenance",
]

_COLUMNS = {
    "width": ("width", "{:d}"),
    "seed": ("seed", "{:d}"),
    "final_loss": ("final loss", "{:.4g}"),
    "loss_ratio": ("final/first", "{:.3e}"),
    "flips": ("patterns changed", "{:.3%}"),
    "drift": ("max drift", "{:.4g}"),
    "lambda_min": ("min lambda_min", "{:.6f}"),
    "seconds": ("seconds", "{:.1f}"),
    "engine": ("engine", "{}"),
}


_MATRIX_SUFFIXES = (".npy", ".csv", ".h5", ".hdf5", ".zarr")


def table_text(rows: list[list[str]]) -> str:
    """Align columns to the right; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def print_summary(sweep: Sweep) -> None:
    """Print where every run ended, and lambda_0 of the limit."""
    summary = sweep.summary()
    present = [key for key in _COLUMNS if any(row.get(key) is not None for row in summary)]
    if len(sweep.seeds) == 1:
        present.remove("seed")
    rows = [[_COLUMNS[key][0] for key in present]]
    for row in summary:
        rows.append(["-" if row.get(key) is None else _COLUMNS[key][1].format(row[key]) for key in present])
    click.echo(table_text(rows))
    if sweep.limit:
        click.echo(
            f"limit (infinite width): lambda_0 = {sweep.limit['lambda_0']:.6f}, "
            f"lambda_max = {sweep.limit['lambda_max']:.6f}, "
            f"largest stable step 2/lambda_max = {2 / sweep.limit['lambda_max']:.4g}"
        )


def show_in_browser(path: Path) -> None:
    """Open a file that was written, or say where it is if nothing can."""
    import webbrowser

    if not webbrowser.open(path.resolve().as_uri()):
        click.echo(f"no browser was found: open {path}", err=True)


def write_provenance(path: Path, sweep: Sweep, source: str, command: str) -> None:
    """Write what made the results of a folder."""
    from fastntk.results import provenance
    from fastntk.results.archive import write_json

    keys = ("width", "seed", "engine", "seconds", "threads")
    runs = []
    for run in sweep.runs:
        made = run.provenance.get("environment", {})
        record = {key: run.provenance[key] for key in keys if key in run.provenance}
        runs.append(record | {key: made.get(key) for key in ("created", "fastntk", "cpu")})
    settings = {key: value for key, value in sweep.settings.items() if key != "data"}
    settings |= {"widths": sweep.widths, "seeds": sweep.seeds}
    data = {"source": source, **sweep.runs[0].provenance.get("data", {}), "sha256": sweep.settings["data"]}
    write_json(
        path,
        {
            "command": command,
            "settings": settings,
            "data": data,
            "limit": sweep.limit,
            "runs": runs,
            "environment": provenance.environment(),
        },
    )


def check_matrix_path(path: Path) -> Path:
    """Check, before the work, that a matrix can be written there."""
    suffix = path.suffix.lower()
    if suffix not in _MATRIX_SUFFIXES:
        raise ValueError(
            f"--out must be a file name ending in .h5, .hdf5, .zarr, .npy or .csv, got {str(path)!r}"
        )
    if suffix not in (".npy", ".csv") and path.exists():
        raise FileExistsError(
            f"--out: {str(path)!r} exists and may hold more than a matrix: remove it or choose another name"
        )
    return ensure_parent(path, "--out")


def write_matrix(path: Path, matrix: NDArray[Any]) -> None:
    """Write a matrix as .csv with all digits of every number."""
    import numpy as np

    with atomic_write(path) as file:
        np.savetxt(file, matrix, fmt="%.17g", delimiter=",")


def eigenvalue_text(name: str, value: Any) -> str:
    """One eigenvalue of a matrix as it was computed, and how far it may be from the exact one, proven."""
    error = max(value.upper_bound - value, value - value.lower_bound)
    return f"{name} = {float(value):.9g} (error at most {error:.1e})"
