"""`fastntk train`: one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastntk.cli.errors import Diverged, Interrupted
from fastntk.cli.options import (
    check_threads,
    data_option,
    flow_options,
    load_data,
    network_options,
    progress_option,
    threads_option,
    training_options,
)
from fastntk.cli.output import print_summary
from fastntk.storage import ensure_parent

__all__ = ["train"]


@click.command(
    epilog="Exit status: 2 bad input, 3 training diverged or a flow missed its tolerance (the log is in the "
    "--csv file), 130 interrupted.",
    short_help="One network; its log and weights as .npz, its log as CSV.",
)
@data_option
@click.option("--width", type=click.IntRange(min=1), default=8000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@training_options(metrics="loss,flips,drift")
@network_options
@flow_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Log, trained network, data and provenance, for fastntk.load.",
)
@click.option("--csv", type=click.Path(path_type=Path), metavar="FILE.csv", help="The log, one row per step.")
@threads_option
@progress_option
def train(data: Path | None, out: Path | None, csv: Path | None, **settings: Any) -> None:
    """Train one two-layer ReLU network by gradient descent or flow and print where it ended."""
    from fastntk import checks
    from fastntk.errors import DivergenceError, ToleranceError
    from fastntk.sweeps import Sweep
    from fastntk.training import train as run_training

    checks.positive(settings["lr"], "--lr")
    check_threads(settings["threads"])
    X, y = load_data(data)
    for name, path in (("--out", out), ("--csv", csv)):
        if path is not None:
            ensure_parent(path, name)
    try:
        run = run_training(X, y, **settings)
    except (DivergenceError, ToleranceError) as error:
        kept = f" (log so far: {error.run.to_csv(csv)})" if csv is not None else ""
        raise Diverged(f"{error}{kept}") from None
    except KeyboardInterrupt:
        raise Interrupted("interrupted, nothing was written") from None
    if out is not None:
        run.save(out)
    if csv is not None:
        run.to_csv(csv)
    print_summary(Sweep([run], run.provenance.get("limit") or {}))
