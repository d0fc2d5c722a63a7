"""`--scheduler`: the cluster that a command works on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from fastntk.base.errors import ClusterError

__all__ = ["connected", "scheduler_option"]

_FORMS = "tcp://HOST:PORT, local or local:N"
_SECONDS = 10  # to wait for a scheduler and its first worker


def _checked(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"(tcp|tls|ws|wss)://\S+|local(:[1-9]\d*)?", value):
        raise click.BadParameter(f"{value!r} is none of {_FORMS}", ctx, param)
    return value


def scheduler_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--scheduler``."""
    return click.option(
        "--scheduler",
        metavar="ADDRESS",
        callback=_checked,
        help=f"Work on a Dask cluster: {_FORMS}, N processes on this machine.",
    )(command)


@contextmanager
def connected(scheduler: str | None) -> Iterator[Any]:
    """The client of the cluster, or None; processes that were started for it end with it."""
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ImportError("--scheduler needs dask.distributed: pip install 'fastntk[dask]'") from None
    if scheduler.startswith("local"):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        count = int(scheduler.partition(":")[2] or cores)
        with (
            LocalCluster(n_workers=count, threads_per_worker=max(1, cores // count), dashboard_address=":0") as made,
            Client(made) as client,
        ):  # fmt: skip
            yield client
        return
    try:
        client = Client(scheduler, timeout=_SECONDS)
        client.wait_for_workers(1, timeout=_SECONDS)
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"--scheduler {scheduler}: no scheduler with a worker answers ({error})") from None
    with client:
        yield client
