"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

__all__ = [
    "IntList",
    "check_threads",
    "compilation_shown",
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


@contextmanager
def compilation_shown(progress: bool) -> Iterator[None]:
    """Say on a terminal that kernels are being compiled, if any are: before the bar moves nothing else would show."""
    if not (progress and sys.stderr.isatty()):
        yield
        return
    from fastntk.compilation.notice import first_compile_announced

    words = "compiling for this machine, which takes seconds and is kept on disk for the next time ..."
    with first_compile_announced(lambda: click.echo(words, err=True)):
        yield


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
