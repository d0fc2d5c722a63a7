"""`fastntk verify`: every statement of the theory, measured and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastntk.base.storage import ensure_folder
from fastntk.cli.data_files import DataFile, data_option
from fastntk.cli.errors import Interrupted
from fastntk.cli.options import IntList, compilation_shown, progress_option, threads_option, use_threads
from fastntk.cli.output import show_in_browser
from fastntk.cli.paths import FilePath
from fastntk.cli.scheduler import connected, scheduler_option
from fastntk.cli.settings import SettingsCommand

__all__ = ["verify"]


@click.command(
    cls=SettingsCommand,
    settings=("steps", "engine"),
    epilog="Exit status: 0 whatever the verdicts, 2 bad input, 130 interrupted.",
    short_help="The theory's statements, measured: a report as HTML and JSON.",
)
@data_option(default="n = d = 200 uniform on the sphere, Gaussian labels")
@click.option("--widths", type=IntList(1), default="512,2048,8192,32768", show_default=True)
@click.option("--seeds", type=IntList(0), default="0,1,2,3,4", show_default=True)
@click.option(
    "--draws",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Seeds for Lemma 3.1, which needs no training.",
)
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Above 1, also what is said of that many hidden layers.",
)
@click.option(
    "--deep-widths", type=IntList(1), default="256,512,1024,2048", show_default=True, help="Their widths."
)
@click.option("--delta", type=float, default=0.1, show_default=True, help="Failure probability.")
@click.option(
    "--out",
    type=FilePath(),
    default="verification",
    show_default=True,
    metavar="DIR",
    help="Folder for report.html and report.json.",
)
@click.option("--open", "shown", is_flag=True, help="Show the report in a browser.")
@threads_option
@scheduler_option
@progress_option
def verify(
    data: DataFile | None, out: Path, shown: bool, threads: int | None, scheduler: str | None, **settings: Any
) -> None:
    """Check what Du, Zhai, Poczos and Singh (arXiv 1810.02054) state, on data.

    For each of Theorems 3.1, 3.2, 3.3, 4.1, Lemmas 3.1 to 3.4 and Corollary 4.1: what it says, what was measured over
    seeds and widths, whether it held, and how much slack there was. Data that a statement does not speak about are
    measured all the same.
    """
    import fastntk

    use_threads(threads)
    X, y = data.labelled() if data is not None else (None, None)
    ensure_folder(out, "--out")
    try:
        with connected(scheduler) as client, compilation_shown(settings["progress"]):
            result = fastntk.verify(X, y, client=client, **settings)
    except KeyboardInterrupt:
        raise Interrupted("interrupted, nothing was written") from None
    written = result.save(out)
    click.echo(result)
    click.echo(f"written to {out}: {', '.join(path.name for path in written)}")
    if shown:
        show_in_browser(out / "report.html")
