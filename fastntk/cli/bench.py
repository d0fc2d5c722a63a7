"""`fastntk bench`: the benchmark report of a checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

__all__ = ["bench"]


@click.command(
    short_help="Run the benchmarks and write their report.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def bench(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Measure every kernel and the whole job against NumPy; all arguments go to benchmarks/report.py."""
    import fastntk

    report = Path(fastntk.__file__).resolve().parent.parent / "benchmarks" / "report.py"
    if not report.is_file():
        raise click.UsageError(
            "the benchmarks are part of a source checkout, not of the installed package: "
            "clone the repository, install it with `pip install -e .[bench]` and call fastntk bench there"
        )
    ctx.exit(subprocess.run([sys.executable, str(report), *arguments], check=False).returncode)
