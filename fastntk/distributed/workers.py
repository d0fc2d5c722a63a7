"""A user's cluster: its client is checked, tasks go out a few at a time, results come back as they are ready."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pickle import PickleBuffer
from typing import Any, NamedTuple

from fastntk.base.errors import ClusterError
from fastntk.base.version import package_version
from fastntk.distributed.errands import describe, keep, other_version, perform, same

__all__ = ["Task", "Workers"]


@dataclass(frozen=True)
class Task:
    """A call that any worker may make.

    Attributes
    ----------
    key : hashable
        What the result is known by.
    function : callable
        Of a module, since its name travels; it must give the same result whenever it is called.
    arguments : tuple
        What `Workers.shared` gave travels to a worker once.
    whole : bool
        Whether it takes all threads of a worker, or one.
    """

    key: Hashable
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    whole: bool = True


class Done(NamedTuple):
    """The key of a task, its result, and the address of the worker that found it."""

    key: Any
    result: Any
    worker: str


@dataclass(eq=False)
class Workers:
    """The workers behind the client of a user, who starts and ends them.

    Attributes
    ----------
    client : distributed.Client
    found : dict
        Facts about each worker by its address, as they were at the start.
    moved : int
        Bytes of arguments and results that have gone to and come from workers.
    """

    client: Any
    found: dict[str, dict[str, Any]]
    moved: int = 0
    _sizes: dict[str, int] = field(default_factory=dict)
    _held: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, client: Any) -> Workers:
        """The workers of a running cluster, all of this version of fastntk.

        Raises
        ------
        ImportError
            Without dask.distributed; says what to install.
        TypeError
            If `client` is none of its clients, or an asynchronous one.
        ClusterError
            If it is closed, has no worker, or a worker has another version.
        """
        distributed = _library()
        if not isinstance(client, distributed.Client):
            raise TypeError(f"client must be a dask.distributed.Client, got {type(client).__name__}")
        if client.asynchronous:
            raise TypeError("client must be a synchronous Client, got one with asynchronous=True")
        if client.status != "running":
            raise ClusterError(f"client must be connected to a scheduler, got one that is {client.status}")
        with _named(distributed):
            try:
                found = client.run(describe)
            except ModuleNotFoundError as error:
                raise ClusterError(f"client: a worker lacks {error.name}: install fastntk there") from None
        if not found:
            raise ClusterError(
                "client: the cluster has no worker yet: client.wait_for_workers(1) waits for one"
            )
        for address, facts in found.items():
            if facts["fastntk"] != package_version():
                raise ClusterError(other_version(address, facts["fastntk"], package_version()))
        return cls(client, found)

    def shared(self, value: Any) -> Any:
        """A value that many tasks use: it travels to a worker once, and again where one that held it is gone."""
        with _named(_library()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # it is meant to travel
            future = self.client.submit(same, value, pure=False)
        self._sizes[future.key] = _size(value)
        return future

    def keep(self, function: Callable[..., Any], *arguments: Any, at: str | None = None) -> Any:
        """A result that stays where it is found, at a worker if one is named: an argument of tasks that then go there.

        Where it is lost with its worker, Dask makes it again by the same calls.
        """
        for argument in arguments:
            key = getattr(argument, "key", None)
            self.moved += self._sizes.get(key, 0) if key is not None else _size(argument)
        with _named(_library()):
            place = {} if at is None else {"workers": [at], "allow_other_workers": True}
            return self.client.submit(keep, package_version(), function, *arguments, pure=False, **place)

    def each(self, tasks: Iterable[Task]) -> Generator[Done, None, None]:
        """Results in the order in which they are ready; close it to cancel what is left.

        As many tasks are under way as the workers have threads, in the order given, so that an error costs little and a
        worker that joins later gets its part.  Dask repeats those of a worker that is gone elsewhere.
        """
        distributed = _library()
        waiting = iter(tasks)
        pending: dict[Any, Task] = {}
        with _named(distributed):
            ready = distributed.as_completed(loop=self.client.loop)
            try:
                self._fill(waiting, pending, ready)
                while pending:
                    future = next(ready)
                    task = pending.pop(future)
                    address, result = future.result()
                    self._count(address, task, result)
                    future.release()
                    self._fill(waiting, pending, ready)
                    yield Done(task.key, result, address)
            finally:
                self._cancel(list(pending))

    def _fill(self, waiting: Iterator[Task], pending: dict[Any, Task], ready: Any) -> None:
        """Submit tasks while there are threads for them."""
        threads = list(self.client.nthreads().values()) or [1]
        share = max(1, sum(threads) // len(threads))  # what a task takes that needs a whole worker
        busy = sum(share if task.whole else 1 for task in pending.values())
        while busy < sum(threads):
            task = next(waiting, None)
            if task is None:
                return
            future = self.client.submit(
                perform, package_version(), task.whole, task.function, *task.arguments, pure=False
            )
            pending[future] = task
            ready.add(future)
            busy += share if task.whole else 1

    def _cancel(self, futures: list[Any]) -> None:
        """Forget tasks; of a cluster that is gone there is nothing to forget."""
        if futures and self.client.status == "running":
            self.client.cancel(futures, force=True)

    def _count(self, address: str, task: Task, result: Any) -> None:
        """Add what travelled for a task."""
        self.moved += _size(result)
        for argument in task.arguments:
            key = getattr(argument, "key", None)
            if key not in self._sizes:
                self.moved += _size(argument)
            elif (address, key) not in self._held:
                self._held.add((address, key))
                self.moved += self._sizes[key]

    def facts(self, address: str) -> dict[str, Any]:
        """What is known of one worker, JSON-able; little of one that joined later."""
        return {"worker": address, **self.found.get(address, {})}

    def record(self) -> dict[str, Any]:
        """Who worked and what travelled, JSON-able."""
        return {"workers": [self.facts(address) for address in self.found], "bytes_moved": self.moved}


def _library() -> Any:
    """dask.distributed, or what to install."""
    try:
        import distributed
    except ImportError:
        raise ImportError("client: this needs dask.distributed: pip install 'fastntk[dask]'") from None
    return distributed


@contextmanager
def _named(distributed: Any) -> Iterator[None]:
    """Errors of the cluster itself as one type; those of a task stay what they are."""
    gone = "client: the scheduler is gone; with out= what is finished is kept, and the same call goes on from there"
    try:
        yield
    except distributed.KilledWorker as error:
        raise ClusterError(
            f"client: a task ended {error.allowed_failures + 1} workers one after the other, the last one "
            f"{error.last_worker.address}: too little memory for it?"
        ) from None
    except (distributed.client.FutureCancelledError, distributed.CancelledError) as error:
        raise ClusterError(gone) from error
    except (distributed.comm.CommClosedError, TimeoutError) as error:
        raise ClusterError(gone) from error


def _size(value: Any) -> int:
    """Bytes of a value as it travels; arrays are not copied for that."""
    from distributed.protocol import pickle

    buffers: list[PickleBuffer] = []
    stream = pickle.dumps(value, buffer_callback=buffers.append)
    return len(stream) + sum(buffer.raw().nbytes for buffer in buffers)
