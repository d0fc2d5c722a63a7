"""Where commands take samples and labels from: the options that say how a file is read, and a line on what was read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastntk.cli.paths import FilePath

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DataFile", "data_option", "data_source", "load_data", "load_samples"]

Command = Callable[..., Any]

PUBLISHED = "the published experiment's n = d = 1000 (legacy random stream, seed 1234)"
"""What most commands take without ``--data``."""

_OPTIONS = ("labels", "signs", "drop", "header", "separator")


@dataclass(frozen=True)
class DataFile:
    """A file, and what was said about it on the command line.

    Attributes
    ----------
    path : Path
    labels : str or None
        Column of the labels, "none", or None where nothing was said.
    signs : bool
    drop : tuple of str
    header : bool or None
    separator : str or None
    """

    path: Path
    labels: str | None
    signs: bool
    drop: tuple[str, ...]
    header: bool | None
    separator: str | None

    def labelled(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Samples and labels."""
        if self.labels == "none":
            raise ValueError("--labels none is for gram and limit: training needs labels")
        if self.labels is None and self._is_npy():
            raise ValueError(
                f"--data: {str(self.path)!r} is an array without names: --labels says which column is y (last, or a "
                "place from 1)"
            )
        X, y = self._read(self.labels or "last", targets=True)
        return X, y

    def samples(self) -> NDArray[Any]:
        """Samples alone; what may be labels is not taken for a feature, and not the other way round."""
        unsaid = None if self._is_npy() else "named"
        return self._read({None: unsaid, "none": None}.get(self.labels, self.labels), targets=False)[0]

    def _dropped(self) -> tuple[str, ...] | None:
        """Columns to leave out: none at all if that was said, None if nothing was."""
        return () if self.drop == ("none",) else self.drop or None

    def _is_npy(self) -> bool:
        return self.path.suffix.lower() == ".npy"

    def _read(self, labels: str | None, targets: bool) -> tuple[NDArray[Any], Any]:
        """Read the file and say on stderr what was read."""
        if self._is_npy():
            X, y = _load_npy(self.path, labels)
            found = f"n = {X.shape[0]}, d = {X.shape[1]}, " + (
                f"labels from column {labels}" if labels else "no labels"
            )
        else:
            from fastntk.datasets.table import read_table

            table = read_table(
                self.path, labels=labels, signs=self.signs, drop=self._dropped(), header=self.header,
                separator=self.separator, targets=targets,
            )  # fmt: skip
            X, y, found = table.X, table.y, str(table)
        click.echo(f"{self.path.name}: {found}", err=True)
        return X, y


def data_option(help: str | None = None, default: str = PUBLISHED) -> Callable[[Command], Command]:
    """Add ``--data`` and what says how it is read; the command gets a `DataFile` or None as `data`."""
    text = help or "Samples, one per row of a table, and labels in its last column."

    def add(command: Command) -> Command:
        @functools.wraps(command)
        def called(*arguments: Any, data: Path | None, **settings: Any) -> Any:
            said = {name: settings.pop(name) for name in _OPTIONS}
            if data is None:
                for name, value in said.items():
                    if value != {"signs": False, "drop": ()}.get(name):
                        raise click.UsageError(
                            f"--{name} says how the file of --data is read, which is not given"
                        )
            return command(*arguments, data=None if data is None else DataFile(data, **said), **settings)

        for option in reversed(
            [
                click.option(
                    "--data",
                    type=FilePath(),
                    metavar="FILE",
                    help=f"{text} Default: {default}.",
                ),
                click.option(
                    "--labels",
                    metavar="COLUMN",
                    help="Name of y's column, or its place from 1; last, or none. Default: last.",
                ),
                click.option("--signs", is_flag=True, help="Labels of two classes become -1 and +1."),
                click.option(
                    "--drop",
                    multiple=True,
                    metavar="COLUMN",
                    help="Column to leave out, by name or place; none takes an index column as a feature.",
                ),
                click.option(
                    "--header/--no-header",
                    default=None,
                    help="First row of names, or not. Default: found out.",
                ),
                click.option(
                    "--separator",
                    metavar="TEXT",
                    callback=_separator,
                    help="Between cells; tab for a tab. Default: found out.",
                ),
            ]
        ):
            called = option(called)
        return called

    return add


def _separator(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    found = {"tab": "\t", "\\t": "\t", "space": " "}.get(value or "", value)
    if found is not None and len(found) != 1:
        raise click.BadParameter(f"{value!r} is not one character, tab or space")
    return found


def data_source(data: DataFile | None) -> str:
    """Say in words where the data come from (the file's name without its folder)."""
    return data.path.name if data is not None else "slides(n=1000, d=1000, seed=1234)"


def load_data(data: DataFile | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read ``--data``, or draw the published experiment's."""
    from fastntk import datasets

    return data.labelled() if data is not None else datasets.slides()


def load_samples(data: DataFile | None) -> NDArray[Any]:
    """Read the samples of ``--data``, or draw the published experiment's."""
    return data.samples() if data is not None else load_data(None)[0]


def _load_npy(path: Path, labels: str | None) -> tuple[NDArray[Any], Any]:
    """An array, and its column of labels if there is one."""
    import numpy as np

    from fastntk.base import checks

    try:
        with open(path, "rb") as file:
            found = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"--data: {str(path)!r} is not a readable .npy file ({error})") from None
    X = checks.matrix(found, f"--data: the array in {str(path)!r}")
    if labels is None:
        return X, None
    place = X.shape[1] if labels == "last" else int(labels) if labels.isdecimal() else 0
    if not 1 <= place <= X.shape[1] or X.shape[1] == 1:
        raise ValueError(
            f"--labels must be last or a place from 1 to {X.shape[1]} for {str(path)!r}, beside which features are "
            f"left, got {labels!r}"
        )
    return np.delete(X, place - 1, axis=1), X[:, place - 1].copy()
