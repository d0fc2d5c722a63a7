"""`fastntk train`: one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastntk.base.storage import ensure_folder, ensure_parent
from fastntk.cli.data_files import DataFile, data_option, load_data
from fastntk.cli.errors import Diverged, Interrupted
from fastntk.cli.options import check_threads, compilation_shown, progress_option, threads_option
from fastntk.cli.output import print_summary
from fastntk.cli.paths import FilePath
from fastntk.cli.scheduler import connected, scheduler_option
from fastntk.cli.settings import RUN, WIDTH, SettingsCommand, check_settings, resolve_methods

__all__ = ["train"]


@click.command(
    cls=SettingsCommand,
    settings=("width", "seed", *RUN),
    defaults={"width": WIDTH},
    epilog="Exit status: 2 bad input, 3 training diverged or a flow missed its tolerance (the log is in the "
    "--csv file), 130 interrupted.",
    short_help="One network; its log and weights as .npz, its log as CSV.",
)
@data_option()
@click.option(
    "--out",
    type=FilePath(),
    metavar="FILE.npz",
    help="Log, trained network, data and provenance, for fastntk.load.",
)
@click.option("--csv", type=FilePath(), metavar="FILE.csv", help="The log, one row per step.")
@click.option(
    "--prediction",
    type=FilePath(),
    metavar="FILE",
    help="A figure (.png, .pdf, .svg) of the run with what its constant initial kernel predicts, deviations included.",
)
@click.option(
    "--diagnostics",
    type=FilePath(),
    metavar="DIR",
    help="Which patterns flip, when and how often, and quantiles of the drift: diagnostics.png and "
    "diagnostics.pdf, steps.csv, samples.csv, neurons.csv; of several hidden layers a folder each.",
)
@threads_option
@scheduler_option
@progress_option
def train(
    data: DataFile | None,
    out: Path | None,
    csv: Path | None,
    prediction: Path | None,
    diagnostics: Path | None,
    scheduler: str | None,
    **settings: Any,
) -> None:
    """Train one two-layer ReLU network by gradient descent or flow and print where it ended."""
    from fastntk.base.errors import DivergenceError, ToleranceError
    from fastntk.results import Sweep
    from fastntk.training.train import train as run_training

    check_settings(settings)
    resolve_methods(settings)
    check_threads(settings["threads"])
    if prediction is not None:
        _check_prediction(prediction, settings)
    if settings["snapshots"] and out is None:
        raise ValueError("--snapshots are kept in the file of --out, which is not given")
    X, y = load_data(data)
    if diagnostics is not None:
        ensure_folder(diagnostics, "--diagnostics")
    for name, path in (("--out", out), ("--csv", csv), ("--prediction", prediction)):
        if path is not None:
            ensure_parent(path, name)
    try:
        with connected(scheduler) as client, compilation_shown(settings["progress"]):
            run = run_training(X, y, diagnostics=diagnostics is not None, client=client, **settings)
    except (DivergenceError, ToleranceError) as error:
        kept = f" (log so far: {error.run.to_csv(csv)})" if csv is not None else ""
        raise Diverged(f"{error}{kept}") from None
    except KeyboardInterrupt:
        raise Interrupted("interrupted, nothing was written") from None
    if out is not None:
        run.save(out)
    if csv is not None:
        run.to_csv(csv)
    if prediction is not None:
        from fastntk.theory.predictions import predict

        names = ("width", "steps", "lr", "seed", "every", "dtype", "kappa", "paired")
        shared = {name: settings[name] for name in names}
        engine = "cuda" if settings["engine"] == "cuda" else "auto"
        predict(X, y, times=run.times, engine=engine, **shared).plot(run, prediction)
    if diagnostics is not None:
        from fastntk.results.run_arrays import diagnostics_by_folder

        for layer, seen in diagnostics_by_folder(run.diagnostics).items():
            folder = ensure_folder(diagnostics / layer, "--diagnostics")
            for figure in ("diagnostics.png", "diagnostics.pdf"):
                seen.plot(folder / figure)
            seen.to_csv(folder)
    print_summary(Sweep([run], run.provenance.get("limit") or {}))


def _check_prediction(path: Path, settings: dict[str, Any]) -> None:
    """Refuse, before the work, a figure of another kind and a run that is not what is predicted."""
    from fastntk.plots.style import figure_suffix
    from fastntk.theory.predictions import PREDICTED

    figure_suffix(path, "--prediction")
    for name, expected in PREDICTED.items():
        if name == "layers" and settings[name] == "hidden":
            continue
        if settings[name] != expected:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                "--prediction is for full gradient descent on the squared loss of the first layer, "
                f"got {option} {settings[name]}"
            )
