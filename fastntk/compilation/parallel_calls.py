"""Independent computations at the same time, each of which has long stretches on one core."""

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from fastntk.compilation.launch import current_threads
from fastntk.compilation.threads import kernel_threads


class ParallelCalls:
    """Calls functions at the same time on Python threads, or one after the other where kernels run on one thread.

    They must not share what they change; their kernels run on as many threads as those of the caller.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, *functions: Callable[[], Any]) -> list[Any]:
        """Their results, in order; the first error of them, once all have ended."""
        threads = current_threads()
        if threads == 1 or len(functions) == 1:
            return [function() for function in functions]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(len(functions) - 1)

        def inside(function: Callable[[], Any]) -> Any:
            with kernel_threads(threads):
                return function()

        others: list[Future[Any]] = [
            self._pool.submit(contextvars.copy_context().run, inside, function) for function in functions[1:]
        ]
        try:
            first = functions[0]()
        finally:
            errors = [other.exception() for other in others]  # waits: nothing may go on behind an error
        for error in errors:
            if error is not None:
                raise error
        return [first, *(other.result() for other in others)]
