"""`fastntk data`: data sets as CSV files."""

from __future__ import annotations

from pathlib import Path

import click

from fastntk.base.storage import ensure_parent
from fastntk.cli.paths import FilePath

__all__ = ["data"]


@click.command(short_help="Write a data set as CSV.")
@click.argument("name", type=click.Choice(["slides", "sphere"]))
@click.option("--n", type=click.IntRange(min=1), default=1000, show_default=True, help="Samples.")
@click.option("--d", type=click.IntRange(min=1), default=1000, show_default=True, help="Dimension.")
@click.option("--seed", type=click.IntRange(min=0), help="Default: 1234 for slides, 0 for sphere.")
@click.option(
    "--labels",
    type=click.Choice(["gaussian", "sign", "eigenvector"]),
    default="gaussian",
    show_default=True,
    help="Normal as the data set has them; -1 and +1 at random; or an eigenvector of the limit kernel H_inf.",
)
@click.option(
    "--index",
    type=int,
    help="Which eigenvector: 0 is learned slowest, -1 fastest. Default: 0.",
)
@click.option("--out", type=FilePath(), required=True, metavar="FILE.csv")
def data(name: str, n: int, d: int, seed: int | None, labels: str, index: int | None, out: Path) -> None:
    """Write points on the unit sphere with labels, one row per sample, the last column is y.

    slides: the published experiment's legacy random stream, digit for digit. sphere: NumPy's current
    generator.
    """
    from fastntk import datasets

    if index is not None and labels != "eigenvector":
        raise ValueError(f"--index is for --labels eigenvector, got --labels {labels}")
    ensure_parent(out, "--out")
    make, default = {"slides": (datasets.slides, 1234), "sphere": (datasets.sphere, 0)}[name]
    seed = default if seed is None else seed
    X, y = make(n, d, seed=seed)
    if labels != "gaussian":
        y = datasets.labels(X, labels, index=index or 0, seed=seed)
    datasets.save_csv(out, X, y)
    click.echo(f"written to {out}: {n} rows, {d} features and y")
