"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "IntList",
    "check_threads",
    "data_option",
    "data_source",
    "load_data",
    "progress_option",
    "threads_option",
    "use_threads",
]

Command = Callable[..., Any]


class IntList(click.ParamType):
    """Comma-separated integers of at least `smallest`."""

    name = "list"

    def __init__(self, smallest: int) -> None:
        self.smallest = smallest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Parse ``500,1000``."""
        if isinstance(value, list):
            return value
        try:
            numbers = [int(part) for part in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a comma-separated list of integers such as 500,1000", param, ctx)
        for number in numbers:
            if number < self.smallest:
                self.fail(f"{number} is too small, expected at least {self.smallest}", param, ctx)
        return numbers


def data_option(command: Command) -> Command:
    """Add ``--data``."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path),
        metavar="FILE.csv",
        help="Samples, one per row, after a header row; the last column is y. "
        "Default: the published experiment's n = d = 1000 (legacy random stream, seed 1234).",
    )(command)


def threads_option(command: Command) -> Command:
    """Add ``--threads``."""
    return click.option(
        "--threads", type=click.IntRange(min=1), help="Threads to use. Default: every usable core."
    )(command)


def progress_option(command: Command) -> Command:
    """Add ``--no-progress``."""
    return click.option(
        "--progress/--no-progress", default=True, help="Bar on stderr (never when it is no terminal)."
    )(command)


def data_source(data: Path | None) -> str:
    """Say in words where the data come from (the file's name without its folder)."""
    return data.name if data is not None else "slides(n=1000, d=1000, seed=1234)"


def load_data(data: Path | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read ``--data``, or draw the published experiment's."""
    from fastntk import datasets

    return datasets.load_csv(data) if data is not None else datasets.slides()


def check_threads(threads: int | None) -> None:
    """Refuse more threads than the process may use, before the work."""
    if threads is None:
        return
    import numba

    most = int(numba.config.NUMBA_NUM_THREADS)
    if threads > most:
        raise ValueError(f"--threads must be at most {most} on this machine, got {threads}")


def use_threads(threads: int | None) -> None:
    """Apply ``--threads`` to the whole process, for work that takes no such argument."""
    check_threads(threads)
    if threads is not None:
        import numba
        from threadpoolctl import threadpool_limits

        numba.set_num_threads(threads)
        threadpool_limits(threads)
