"""`fastntk reproduce` and `fastntk sweep`: the same network at several widths and seeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastntk.base.storage import ensure_folder
from fastntk.cli.data_files import DataFile, data_option, data_source, load_data
from fastntk.cli.errors import Diverged, Interrupted
from fastntk.cli.options import (
    IntList,
    check_threads,
    compilation_shown,
    progress_option,
    threads_option,
)
from fastntk.cli.output import print_summary, show_in_browser, write_provenance
from fastntk.cli.paths import FilePath
from fastntk.cli.scheduler import connected, scheduler_option
from fastntk.cli.settings import RUN, SettingsCommand, check_settings, resolve_methods

if TYPE_CHECKING:
    from fastntk.results import Sweep

__all__ = ["reproduce", "sweep"]

_QUICK: dict[str, Any] = {"widths": [500, 1000, 2000], "steps": 30}


@click.command(
    cls=SettingsCommand,
    settings=("steps", "lr", "depth", "scale", "metrics", "every", "engine"),
    defaults={"metrics": "all"},
    epilog="Exit status: 2 bad input, 3 training diverged (its log is in DIR/diverged.csv), 130 interrupted.",
    short_help="The published experiment: table, figure, CSV, provenance.",
)
@data_option()
@click.option(
    "--widths",
    type=IntList(1),
    default="500,1000,2000,4000,8000",
    show_default=True,
    help="Numbers of hidden neurons.",
)
@click.option(
    "--seeds", type=IntList(0), default="0", show_default=True, help="Several give a median and a band."
)
@click.option(
    "--out",
    type=FilePath(),
    default="results",
    show_default=True,
    metavar="DIR",
    help="Folder for everything that is written.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Widths up to 2000, 30 steps, to results/quick: these become the defaults.",
)
@click.option("--open", "shown", is_flag=True, help="Show the figure in a browser.")
@threads_option
@scheduler_option
@progress_option
def reproduce(
    data: DataFile | None, out: Path, quick: bool, shown: bool, progress: bool, **settings: Any
) -> None:
    """Train two-layer ReLU networks of several widths by gradient descent and watch their kernel.

    The experiment of Du, Zhai, Poczos and Singh, arXiv 1810.02054. Writes to DIR: figure.png and figure.pdf,
    scaling.png and scaling.pdf (where the runs end against the width, if the widths span a decade),
    results.csv (one row per width, seed and logged step), provenance.json, and runs/ with one file per
    finished run. Interrupted, the same command goes on where it stopped.
    """
    if quick:
        settings |= {name: value for name, value in _QUICK.items() if not _given(name)}
        out = out if _given("out") else out / "quick"
    with _kept_in(out, settings):
        result = _run(data, out, progress, settings)
        _write(result, out, data, "reproduce", figure=True)
    if shown:
        show_in_browser(out / "figure.png")


def _given(name: str) -> bool:
    """Whether an option was given, not left to its default."""
    source = click.get_current_context().get_parameter_source(name)
    return source is not click.core.ParameterSource.DEFAULT


@click.command(
    cls=SettingsCommand,
    settings=(*RUN, "diagnostics"),
    short_help="Any widths, seeds and settings; data as .npz and CSV.",
)
@data_option()
@click.option("--widths", type=IntList(1), required=True, help="Numbers of hidden neurons, such as 500,1000.")
@click.option("--seeds", type=IntList(0), default="0", show_default=True)
@click.option("--out", type=FilePath(), required=True, metavar="DIR")
@click.option("--figure", is_flag=True, help="Also draw the figures of reproduce.")
@threads_option
@scheduler_option
@progress_option
def sweep(data: DataFile | None, out: Path, figure: bool, progress: bool, **settings: Any) -> None:
    """Train at every width and seed and keep the logs.

    Writes to DIR: sweep.npz (for fastntk.load), results.csv, provenance.json, and runs/ with one file per
    finished run. Interrupted, the same command goes on where it stopped; more widths or seeds add to the
    folder.
    """
    check_settings(settings)
    resolve_methods(settings)
    with _kept_in(out, settings):
        result = _run(data, out, progress, settings)
        result.save(out / "sweep.npz")
        _write(result, out, data, "sweep", figure)


def _write(result: Sweep, out: Path, data: DataFile | None, command: str, figure: bool) -> None:
    """Write CSV, provenance and figure, and print the table."""
    result.to_csv(out / "results.csv")
    write_provenance(out / "provenance.json", result, data_source(data), command)
    if figure:
        from fastntk.plots.scaling import spans_decade

        scaling = spans_decade(result.runs)
        for suffix in (".png", ".pdf"):
            result.plot(out / f"figure{suffix}")
            if scaling:
                result.plot_scaling(out / f"scaling{suffix}")
    print_summary(result)
    written = sorted(path.name for path in out.iterdir() if path.is_file() and not path.name.startswith("."))
    click.echo(f"written to {out}: {', '.join(written)}")


def _run(data: DataFile | None, out: Path, progress: bool, settings: dict[str, Any]) -> Sweep:
    """Check everything that can be checked before the work, then run the sweep in ``out/runs``."""
    from fastntk.training.sweeps import sweep as run_sweep

    check_settings(settings)
    check_threads(settings["threads"])
    X, y = load_data(data)
    ensure_folder(out / "runs", "--out")
    with connected(settings.pop("scheduler")) as client, compilation_shown(progress):
        return run_sweep(X, y, out=out / "runs", progress=progress, client=client, **settings)


@contextmanager
def _kept_in(out: Path, settings: dict[str, Any]) -> Iterator[None]:
    """Say in one line what is kept when the command does not end."""
    from fastntk.base.errors import DivergenceError, ToleranceError

    try:
        yield
    except (DivergenceError, ToleranceError) as error:
        log = error.run.to_csv(out / "diverged.csv")
        raise Diverged(f"{error} (log so far: {log})") from None
    except KeyboardInterrupt:
        kept = len(list((out / "runs").glob("run-*.npz")))
        total = len(set(settings["widths"])) * len(set(settings["seeds"]))
        raise Interrupted(
            f"interrupted: {kept} of {total} runs are kept in {out / 'runs'}; "
            "the same command goes on from there"
        ) from None
