"""Paths on the command line."""

from __future__ import annotations

import os
from pathlib import Path

import click

from fastntk.base.storage import user_path

__all__ = ["FilePath"]


class FilePath(click.Path):
    """A path; a leading ~ is the home also where the shell leaves it, as in ``--out=~/K.npy``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Expand the home."""
        return user_path(os.fsdecode(super().convert(value, param, ctx)))
