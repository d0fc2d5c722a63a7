"""How the command line fails: one line on stderr and a status, never a traceback for what a user can mend.

Status 2: bad input, unreadable data, a folder that cannot be written, too little memory, a missing library or GPU,
a cluster that is gone. Status 3: training diverged or a flow missed its tolerance. Status 130: interrupted. Status 1
with a traceback is left for bugs.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any, NoReturn

import click

from fastntk.base.errors import ClusterError, DeviceError

__all__ = ["CommandLine", "Diverged", "Interrupted"]


class Diverged(click.ClickException):
    """Training left the stable range, or a flow missed its tolerance."""

    exit_code = 3


class Interrupted(click.ClickException):
    """Ctrl-C, with what was kept."""

    exit_code = 130


class CommandLine(click.Group):
    """A command group that turns the package's typed exceptions into one line and a status."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command line and exit."""
        kwargs["standalone_mode"] = False
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _warn
                status = super().main(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted", Interrupted.exit_code)
        except (ValueError, TypeError, OSError, MemoryError, ImportError, DeviceError, ClusterError) as error:
            _fail(_text(error), 2)
        sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> NoReturn:
    """Print one line and exit."""
    prefix = "" if status == Interrupted.exit_code else "Error: "
    click.echo(prefix + " ".join(message.split()), err=True)
    sys.exit(status)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line, without the place in the code that raised it."""
    click.echo(f"Warning: {' '.join(str(message).split())}", err=True)


def _text(error: Exception) -> str:
    """Return the message alone: OSError would put its number first, MemoryError may have none."""
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename!r}" if error.filename is not None else ""
        return f"{error.strerror}{where}"
    return str(error) or f"{type(error).__name__}"
