"""`fastntk rates`: how fast the accelerated methods converge, as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastntk.base.storage import ensure_parent
from fastntk.cli.data_files import DataFile, data_option, load_data
from fastntk.cli.errors import Diverged, Interrupted
from fastntk.cli.options import (
    check_threads,
    progress_option,
    threads_option,
)
from fastntk.cli.output import table_text
from fastntk.cli.paths import FilePath
from fastntk.cli.settings import WIDTH, SettingsCommand

__all__ = ["rates"]


@click.command(
    cls=SettingsCommand,
    settings=("width", "seed", "engine", "dtype"),
    defaults={"width": WIDTH, "dtype": "float64"},
    epilog="Exit status: 2 bad input, 3 training diverged, 130 interrupted.",
    short_help="Gradient descent, heavy ball and Nesterov, each at its best step: a figure.",
)
@data_option()
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Default: until gradient descent has reduced the loss by 1e-10, at most 1000.",
)
@click.option(
    "--out",
    type=FilePath(),
    default="rates.png",
    show_default=True,
    metavar="FILE",
    help="The figure, .png, .pdf or .svg.",
)
@click.option("--csv", type=FilePath(), metavar="FILE.csv", help="The curves.")
@threads_option
@progress_option
def rates(data: DataFile | None, out: Path, csv: Path | None, **settings: Any) -> None:
    """Train one network by three methods, at the steps and momenta that are best for its kernel H(0).

    The table has three factors of the loss per step: that of the slowest mode by the formulas (Lessard, Recht and
    Packard, arXiv 1408.3595), that of the linearised network, and the measured one.
    """
    import fastntk
    from fastntk.plots.style import figure_suffix

    check_threads(settings["threads"])
    figure_suffix(out, "--out")
    for name, path in (("--out", out), ("--csv", csv)):
        if path is not None:
            ensure_parent(path, name)
    X, y = load_data(data)
    try:
        result = fastntk.convergence_rates(X, y, **settings)
    except fastntk.DivergenceError as error:
        raise Diverged(str(error)) from None
    except KeyboardInterrupt:
        raise Interrupted("interrupted, nothing was written") from None
    result.plot(out)
    if csv is not None:
        result.to_csv(csv)
    rows = result.table()
    cells = [[row["method"], *(f"{row[key]:.4f}" for key in list(row)[1:])] for row in rows]
    click.echo(table_text([["method", "step size", *list(rows[0])[2:]], *cells]))
    click.echo(
        f"H(0): lambda_min = {result.lambda_min:.6g}, lambda_max = {result.lambda_max:.6g}; written to {out}"
    )
