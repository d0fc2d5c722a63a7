"""`fastntk gram` and `fastntk limit`: kernel matrices alone."""

from __future__ import annotations

from pathlib import Path

import click

from fastntk.cli.options import data_option, load_data, threads_option, use_threads
from fastntk.cli.output import check_matrix_path, eigenvalue_text, write_matrix

__all__ = ["gram", "limit"]

_out = click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The matrix, ending in .npy or .csv. Without it only the eigenvalue is printed.",
)


@click.command(short_help="Gram matrix H of a network at its start, or of a trained one.")
@data_option
@click.option("--width", type=click.IntRange(min=1), default=8000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Take data and trained network from what `fastntk train --out` wrote.",
)
@_out
@threads_option
@click.pass_context
def gram(
    ctx: click.Context,
    data: Path | None,
    width: int,
    seed: int,
    run: Path | None,
    out: Path | None,
    threads: int | None,
) -> None:
    """Compute H_ij = (1/m) x_i.x_j times the number of neurons active on both, and its smallest eigenvalue."""
    import fastntk

    use_threads(threads)
    if out is not None:
        check_matrix_path(out)
    if run is not None:
        for name in ("data", "width", "seed"):
            if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
                raise click.UsageError(f"--{name} and --run exclude each other: the run brings its own")
        loaded = fastntk.load(run)
        if not isinstance(loaded, fastntk.Run):
            raise ValueError(f"--run: {str(run)!r} holds a sweep, whose runs keep no network")
        H = loaded.gram()
    else:
        X, _ = load_data(data)
        H = fastntk.gram(X, W=fastntk.TwoLayerReLU.init(X.shape[1], width, seed=seed).W)
    if out is not None:
        write_matrix(out, H)
    click.echo(f"n = {H.shape[0]}, {eigenvalue_text('lambda_min(H)', fastntk.lambda_min(H))}")


@click.command(short_help="Gram matrix of the infinite-width limit.")
@data_option
@click.option("--layers", type=click.Choice(["first", "second", "both"]), default="first", show_default=True)
@click.option("--depth", type=click.IntRange(min=1), default=1, show_default=True, help="Hidden layers.")
@_out
@threads_option
def limit(data: Path | None, layers: str, depth: int, out: Path | None, threads: int | None) -> None:
    """Compute the kernel's limit as the width grows, x_i.x_j (pi - theta_ij) / (2 pi), and its lambda_0."""
    import fastntk

    use_threads(threads)
    if out is not None:
        check_matrix_path(out)
    X, _ = load_data(data)
    H = fastntk.limit_gram(X, layers=layers, depth=depth)
    if out is not None:
        write_matrix(out, H)
    click.echo(f"n = {H.shape[0]}, {eigenvalue_text('lambda_0 = lambda_min', fastntk.lambda_min(H))}")
