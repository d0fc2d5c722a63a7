"""Settings of a training run as options of the command line: defaults, ranges, choices and help come from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fastntk.cli.options import IntList

if TYPE_CHECKING:
    from fastntk.training.options import Check

__all__ = ["RUN", "WIDTH", "SettingsCommand", "check_settings", "resolve_methods"]

WIDTH = 8000  # of the published experiment's widest network

RUN = (
    "steps", "lr", "depth", "scale", "output", "layers", "loss", "optimizer", "batch_size", "dynamics", "t_final",
    "tolerance", "metrics", "every", "snapshots", "engine", "dtype", "kappa", "paired",
)  # fmt: skip
"""The settings of one run that commands take."""

# Of settings that are objects: an option for their parameter, and its words.
_PARAMETERS = {
    "loss": ("--huber-delta", "Residual beyond which the huber loss is linear. Default: 1."),
    "optimizer": ("--momentum", "Of heavy_ball and nesterov, from 0 to below 1. Default: 0.9."),
}


class Names(click.ParamType):
    """Comma-separated names of a few, or ``all`` of them."""

    name = "list"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parse ``loss,flips``."""
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in str(value).split(","))
        if names == ("all",):
            return names
        for name in names:
            if name not in self.known:
                expected = f"expected all or some of {', '.join(self.known)}"
                self.fail(f"{name!r} is not a metric, {expected}", param, ctx)
        return names


class SettingsCommand(click.Command):
    """A command that takes these settings of a run, before ``--out``, some with a default of its own.

    They are read when the command runs or explains itself: NumPy and Numba, which they need, wait until then.
    """

    def __init__(
        self, *arguments: Any, settings: tuple[str, ...], defaults: dict[str, Any] | None = None, **rest: Any
    ) -> None:
        super().__init__(*arguments, **rest)
        self._settings, self._defaults = settings, defaults or {}

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """All options."""
        if self._settings:
            place = [option.name for option in self.params].index("out")
            self.params[place:place] = _options(self._settings, self._defaults)
            self._settings = ()
        return super().get_params(ctx)


def _options(names: tuple[str, ...], defaults: dict[str, Any]) -> list[click.Option]:
    """The options of these settings, in the order of `Settings`."""
    from dataclasses import fields

    from fastntk.training.settings import Settings

    found = []
    for part in fields(Settings):
        if part.name in names:
            default = defaults.get(part.name, part.default)
            found.append(_option(part.name, default, part.metadata["check"], part.metadata["words"]))
            if part.name in _PARAMETERS:
                option, words = _PARAMETERS[part.name]
                found.append(click.Option([option], type=float, help=words))
    return found


def _option(name: str, default: Any, check: Check, words: str) -> click.Option:
    declaration = ["--" + name.replace("_", "-")]
    if isinstance(default, bool):
        return click.Option(declaration, is_flag=True, help=words)
    shown = default not in (None, ())
    if shown and isinstance(default, tuple):
        default = ",".join(default)
    return click.Option(
        declaration,
        type=_type(check),
        default=default if shown or default is None else [],
        show_default=shown,
        metavar="LIST" if check.many else None,
        help=words,
    )


class Layers(click.ParamType):
    """One of the words, or comma-separated numbers."""

    name = "layers"

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse ``hidden`` or ``1,3``."""
        if isinstance(value, tuple) or value in self.words:
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            words = ", ".join(self.words)
            self.fail(f"{value!r} is neither one of {words} nor numbers such as 1,3", param, ctx)


def _type(check: Check) -> click.ParamType:
    if check.choices and check.least is not None:
        return Layers(check.choices)
    if check.many:
        return Names(check.choices) if check.least is None else IntList(check.least)
    if check.choices:
        return click.Choice(check.choices)
    return click.FLOAT if check.least is None else click.IntRange(min=check.least)


def check_settings(settings: dict[str, Any]) -> None:
    """Refuse a value that its setting refuses, in the name of the option."""
    from dataclasses import fields

    from fastntk.training.settings import Settings

    for part in fields(Settings):
        if part.name in settings:
            part.metadata["check"](settings[part.name], "--" + part.name.replace("_", "-"))


def resolve_methods(settings: dict[str, Any]) -> None:
    """Put the loss and the optimizer that ``--huber-delta`` and ``--momentum`` describe in place of their names."""
    from fastntk.base import checks

    momentum, delta = settings.pop("momentum"), settings.pop("huber_delta")
    if delta is not None:
        from fastntk.losses import Huber

        if settings["loss"] != "huber":
            raise ValueError(f"--huber-delta is for --loss huber, got --loss {settings['loss']}")
        settings["loss"] = Huber(checks.positive(delta, "--huber-delta"))
    if momentum is not None:
        from fastntk.optimizers import OPTIMIZERS

        if settings["optimizer"] == "gd":
            raise ValueError("--momentum is for --optimizer heavy_ball or nesterov, got --optimizer gd")
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"--momentum must be from 0 to below 1, got {momentum:g}")
        settings["optimizer"] = OPTIMIZERS[settings["optimizer"]](momentum)
