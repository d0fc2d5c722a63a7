"""`fastntk data`: data sets as CSV files."""

from __future__ import annotations

from pathlib import Path

import click

from fastntk.storage import ensure_parent

__all__ = ["data"]


@click.command(short_help="Write a data set as CSV.")
@click.argument("name", type=click.Choice(["slides", "sphere"]))
@click.option("--n", type=click.IntRange(min=1), default=1000, show_default=True, help="Samples.")
@click.option("--d", type=click.IntRange(min=1), default=1000, show_default=True, help="Dimension.")
@click.option("--seed", type=click.IntRange(min=0), help="Default: 1234 for slides, 0 for sphere.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.csv")
def data(name: str, n: int, d: int, seed: int | None, out: Path) -> None:
    """Write points on the unit sphere with normal labels, one row per sample, the last column is y.

    slides: the published experiment's legacy random stream, digit for digit. sphere: NumPy's current
    generator.
    """
    from fastntk import datasets

    ensure_parent(out, "--out")
    make, default = {"slides": (datasets.slides, 1234), "sphere": (datasets.sphere, 0)}[name]
    datasets.save_csv(out, *make(n, d, seed=default if seed is None else seed))
    click.echo(f"written to {out}: {n} rows, {d} features and y")
