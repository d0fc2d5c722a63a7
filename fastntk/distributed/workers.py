"""A user's cluster: its client is checked, tasks go out a few at a time, results come back as they are ready."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastntk.base.errors import ClusterError
from fastntk.distributed.errands import (
    describe,
    keep,
    perform,
    processor,
    require_same,
    same,
    sent,
    versions,
)
from fastntk.distributed.parcels import Parcel

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
    """

    client: Any
    found: dict[str, dict[str, Any]]
    _given: int = 0
    _before: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, client: Any) -> Workers:
        """The workers of a running cluster, all with the versions of this process; a warning if processors differ.

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
            found = _answers(client, describe)
        if not found:
            raise ClusterError(
                "client: the cluster has no worker yet: client.wait_for_workers(1) waits for one"
            )
        for address, facts in found.items():
            require_same(address, facts, versions())
        with _named(distributed):
            before = _answers(client, sent)
        others = {facts["processor"]: facts["host"] for facts in found.values()}
        if set(others) != {processor()}:
            told = "; ".join(f"{kind} on {host}" for kind, host in others.items())
            warnings.warn(
                f"client: kernels are for {processor()} in this process, and on workers for {told}: the last digits "
                "may depend on who computes them",
                stacklevel=3,
            )
        return cls(client, found, 0, before)

    def shared(self, value: Any) -> Any:
        """A value that many tasks use: it travels to a worker once, and again where one that held it is gone."""
        parcel = Parcel.of(value)
        self._given += parcel.nbytes
        return self._submit(same, parcel)

    def keep(self, function: Callable[..., Any], *arguments: Any, at: str | None = None) -> Any:
        """A future whose result stays on its worker, that at an address if one is given.

        Tasks that take it as an argument go to that worker.  Where it is lost with the worker, Dask makes it again by
        the same calls.
        """
        place = {} if at is None else {"workers": [at], "allow_other_workers": True}
        return self._submit(keep, versions(), function, *self._packed(arguments), **place)

    def fetch(self, future: Any) -> Any:
        """The result of `keep`."""
        with _named(_library()):
            return future.result()

    def ready(self, futures: Iterable[Any]) -> Iterator[Any]:
        """Futures of `keep` as they are done, or lost; their results stay on their workers."""
        distributed = _library()
        with _named(distributed):
            yield from distributed.as_completed(futures, loop=self.client.loop)

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
                    address, result = future.result().value
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
            future = self._submit(
                perform, versions(), task.whole, task.function, *self._packed(task.arguments)
            )
            pending[future] = task
            ready.add(future)
            busy += share if task.whole else 1

    def _cancel(self, futures: list[Any]) -> None:
        """Forget tasks; of a cluster that is gone there is nothing to forget."""
        if futures and self.client.status == "running":
            self.client.cancel(futures, force=True)

    def _submit(self, function: Callable[..., Any], *arguments: Any, **place: Any) -> Any:
        """Hand a call over."""
        with _named(_library()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # it is meant to travel
            return self.client.submit(function, *arguments, pure=False, **place)

    def _packed(self, arguments: tuple[Any, ...]) -> list[Any]:
        """What goes along with a task; what is on workers already stays there."""
        future = _library().Future
        packed = [one if isinstance(one, future) else Parcel.of(one) for one in arguments]
        self._given += sum(one.nbytes for one in packed if isinstance(one, Parcel))
        return packed

    def facts(self, address: str) -> dict[str, Any]:
        """What is known of one worker, JSON-able; little of one that joined later."""
        return {"worker": address, **self.found.get(address, {})}

    def record(self) -> dict[str, Any]:
        """Who worked and the bytes that travelled between this process and workers and among these, JSON-able.

        What a worker that is gone had sent is not known; what others have it do meanwhile counts.
        """
        moved = self._given
        with contextlib.suppress(ClusterError), _named(_library()):  # what was found outlives the cluster
            for address, count in _answers(self.client, sent).items():
                moved += count - self._before.get(address, 0)
        return {"workers": [self.facts(address) for address in self.found], "bytes_moved": moved}


def _answers(client: Any, function: Callable[[Any], Any]) -> dict[str, Any]:
    """What the workers answer, by their addresses; one that is dying answers nothing."""
    found = client.run(function, on_error="return")
    for error in found.values():
        if isinstance(error, ModuleNotFoundError):
            raise ClusterError(f"client: a worker lacks {error.name}: install fastntk there") from None
        if isinstance(error, Exception) and not isinstance(error, OSError):
            raise error
    return {address: answer for address, answer in found.items() if not isinstance(answer, OSError)}


def _library() -> Any:
    """dask.distributed, or what to install."""
    try:
        import distributed
    except ImportError:
        raise ImportError("client: this needs dask.distributed: pip install 'fastntk[dask]'") from None
    return distributed


@contextlib.contextmanager
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
