"""Commands called in this process, as from a shell."""

import re

from click.testing import CliRunner

from fastntk.cli import main


def run(*arguments):
    """Result of `fastntk` with these arguments."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fastntk")


def complaints(stderr):
    """What is on stderr beside the line on the data that were read."""
    return re.sub(r"^\S+\.(csv|npy): n = \d+, d = \d+, .*\n", "", stderr, count=1)


def ok(*arguments):
    """What a command prints that succeeds and has nothing to complain about."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert complaints(result.stderr) == ""  # progress bars are silent when stderr is no terminal
    return result.stdout


def fails(*arguments, status=2):
    """The one line on stderr of a command that must fail."""
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    lines = complaints(result.stderr).splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("interrupted" if status == 130 else "Error: ")
    return lines[0]


def small(data, out, *more):
    """Arguments of a small experiment."""
    return ("reproduce", "--data", data, "--widths", "8,16", "--steps", 5, "--out", out, *more)
