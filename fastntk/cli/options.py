"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = [
    "IntList",
    "Names",
    "check_threads",
    "engine_option",
    "flow_options",
    "network_options",
    "progress_option",
    "resolve_methods",
    "threads_option",
    "training_options",
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


class Names(click.ParamType):
    """Comma-separated metric names, or ``all``."""

    name = "list"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parse ``loss,flips``."""
        from fastntk.results import METRICS

        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in str(value).split(","))
        if names == ("all",):
            return METRICS
        for name in names:
            if name not in METRICS:
                self.fail(
                    f"{name!r} is not a metric, expected all or some of {', '.join(METRICS)}", param, ctx
                )
        return names


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


def training_options(metrics: str) -> Callable[[Command], Command]:
    """Add steps, lr, metrics and every."""

    def add(command: Command) -> Command:
        for option in reversed(
            [
                click.option("--steps", type=click.IntRange(min=0), default=100, show_default=True),
                click.option("--lr", type=float, default=0.1, show_default=True, help="Step size."),
                click.option(
                    "--metrics",
                    type=Names(),
                    default=metrics,
                    show_default=True,
                    help="all, or some of loss,flips,drift,gram,lambda_min.",
                ),
                click.option(
                    "--every",
                    type=click.IntRange(min=1),
                    default=1,
                    show_default=True,
                    help="Log every so many steps.",
                ),
            ]
        ):
            command = option(command)
        return command

    return add


def engine_option(command: Command) -> Command:
    """Add ``--engine``."""
    return click.option(
        "--engine",
        type=click.Choice(["auto", "dual", "primal", "cuda"]),
        default="auto",
        show_default=True,
        help="What trains; cuda: dual or primal on a GPU.",
    )(command)


def network_options(command: Command) -> Command:
    """Add layers, loss, optimizer, batch size, initial network, engine and dtype; see `resolve_methods`."""
    for option in (
        click.option(
            "--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True
        ),
        engine_option,
        click.option("--paired", is_flag=True, help="Neurons in pairs that cancel: all outputs start at 0."),
        click.option(
            "--kappa", type=float, default=1.0, show_default=True, help="Scale of the initial first layer."
        ),
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            help="Samples of a step, drawn anew every epoch. Default: all.",
        ),
        click.option(
            "--momentum", type=float, help="Of heavy_ball and nesterov, from 0 to below 1. Default: 0.9."
        ),
        click.option(
            "--optimizer",
            type=click.Choice(["gd", "heavy_ball", "nesterov"]),
            default="gd",
            show_default=True,
            help="Plain gradient descent, or with momentum.",
        ),
        click.option(
            "--huber-delta", type=float, help="Residual beyond which the huber loss is linear. Default: 1."
        ),
        click.option(
            "--loss",
            type=click.Choice(["squared", "logistic", "huber"]),
            default="squared",
            show_default=True,
            help="logistic takes labels -1 and +1; huber is quadratic, then linear.",
        ),
        click.option(
            "--layers",
            type=click.Choice(["first", "second", "both"]),
            default="first",
            show_default=True,
            help="Layers that are trained.",
        ),
    ):
        command = option(command)
    return command


def resolve_methods(settings: dict[str, Any]) -> None:
    """Put the loss and the optimizer that ``--huber-delta`` and ``--momentum`` describe in place of their names."""
    from fastntk.base import checks

    checks.positive(settings["kappa"], "--kappa")
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


def flow_options(command: Command) -> Command:
    """Add dynamics, t-final and tolerance."""
    for option in (
        click.option(
            "--tolerance",
            type=float,
            default=1e-3,
            show_default=True,
            help="Of gradient flow: error of the outputs in a step, relative to the residual.",
        ),
        click.option("--t-final", type=float, help="Of gradient flow: where it ends."),
        click.option(
            "--dynamics",
            type=click.Choice(["descent", "flow"]),
            default="descent",
            show_default=True,
            help="Gradient descent, or gradient flow up to --t-final, logged at 101 times.",
        ),
    ):
        command = option(command)
    return command


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
