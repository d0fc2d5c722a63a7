"""`fastntk gram` and `fastntk limit`: kernel matrices alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastntk.cli.data_files import load_samples
from fastntk.cli.matrix_output import OutputFiles, matrix_options, write_outputs
from fastntk.cli.options import progress_option, threads_option, use_threads
from fastntk.cli.paths import FilePath
from fastntk.cli.scheduler import connected, scheduler_option

__all__ = ["gram", "limit"]


@click.command(short_help="Gram matrix H of a network at its start, or of a trained one.")
@click.option("--width", type=click.IntRange(min=1), default=8000, show_default=True, help="Neurons.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--run",
    type=FilePath(),
    metavar="FILE.npz",
    help="Take data and trained network from what `fastntk train --out` wrote.",
)
@matrix_options
@threads_option
@scheduler_option
@progress_option
@click.pass_context
def gram(
    ctx: click.Context,
    /,
    run: Path | None,
    threads: int | None,
    scheduler: str | None,
    progress: bool,
    **settings: Any,
) -> None:
    """Compute H_ij = (1/m) x_i.x_j times the number of neurons active on both, and its smallest eigenvalue.

    That is the first layer; "second" is (1/m) sum_r relu(w_r.x_i) relu(w_r.x_j), "both" their sum. Neurons are
    drawn when they are needed, so that any width fits. Written to a file, the matrix may be larger than memory,
    and interrupted, the same command goes on where it stopped.
    """
    import fastntk

    use_threads(threads)
    outputs = OutputFiles.checked(settings)
    width, seed, data = settings["width"], settings["seed"], settings["data"]
    options = {"layers": settings["layers"], "dtype": settings["dtype"]}
    if run is None:
        X, network = load_samples(data), {"width": width, "seed": seed}
    else:
        for name in ("data", "width", "seed"):
            if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
                raise click.UsageError(f"--{name} and --run exclude each other: the run brings its own")
        loaded = fastntk.load(run)
        if not isinstance(loaded, fastntk.Run) or loaded.net is None or loaded.X is None:
            raise ValueError(f"--run: {str(run)!r} keeps no network and data, as runs of a sweep do not")
        X, network = loaded.X, {"W": loaded.net.W, "a": loaded.net.a}
        width = loaded.net.width
    outputs.check_size(len(X))
    if settings["plan"]:
        click.echo(fastntk.plan(X, width=width, out=outputs.target, **options))
        return
    with connected(scheduler) as client:
        H = outputs.computed(fastntk.gram, X, **network, **options, progress=progress, client=client)
    write_outputs(H, outputs, "lambda_min(H)")


@click.command(short_help="Gram matrix of the infinite-width limit.")
@matrix_options
@click.option("--depth", type=click.IntRange(min=1), default=1, show_default=True, help="Hidden layers.")
@click.option(
    "--scale",
    type=float,
    default=1.0,
    show_default=True,
    help="Of the activation; sqrt(2) = 1.41421... is He's.",
)
@threads_option
@scheduler_option
@progress_option
def limit(
    depth: int, scale: float, threads: int | None, scheduler: str | None, progress: bool, **settings: Any
) -> None:
    """Compute the kernel's limit as the width grows, x_i.x_j (pi - theta_ij) / (2 pi), and its lambda_0.

    That is the first layer at depth 1; "second" is the kernel of the network as a Gaussian process, "both" the
    tangent kernel of all layers. Written to a file, the matrix may be larger than memory, and interrupted, the
    same command goes on where it stopped.
    """
    import fastntk
    from fastntk.base import checks

    use_threads(threads)
    checks.positive(scale, "--scale")
    if settings["layers"] == "first" and depth > 1:
        raise click.UsageError("--layers first exists at --depth 1 only; deeper there are second and both")
    outputs = OutputFiles.checked(settings)
    X = load_samples(settings["data"])
    outputs.check_size(len(X))
    options = {"layers": settings["layers"], "depth": depth, "dtype": settings["dtype"]}
    if settings["plan"]:
        click.echo(fastntk.plan(X, out=outputs.target, **options))
        return
    with connected(scheduler) as client:
        H = outputs.computed(fastntk.limit_gram, X, **options, scale=scale, progress=progress, client=client)
    write_outputs(H, outputs, "lambda_0 = lambda_min")
