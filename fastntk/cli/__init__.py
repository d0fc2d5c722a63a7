"""The command line: ``fastntk reproduce | train | sweep | rates | gram | limit | verify | data | bench | info``.

Command modules import click and the standard library; NumPy, Numba and Matplotlib wait until a command runs.
"""

from __future__ import annotations

import click

import fastntk
from fastntk.cli.bench import bench
from fastntk.cli.data import data
from fastntk.cli.errors import CommandLine
from fastntk.cli.experiment import reproduce, sweep
from fastntk.cli.info import info
from fastntk.cli.matrices import gram, limit
from fastntk.cli.rates import rates
from fastntk.cli.train import train
from fastntk.cli.verify import verify

__all__ = ["main"]


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=CommandLine, context_settings=_SETTINGS)
@click.version_option(fastntk.__version__, prog_name="fastntk", message="%(prog)s %(version)s")
def main() -> None:
    """Two-layer ReLU networks wide enough to see neural tangent kernel theory."""


for _command in (reproduce, train, sweep, rates, gram, limit, verify, data, bench, info):
    main.add_command(_command)
