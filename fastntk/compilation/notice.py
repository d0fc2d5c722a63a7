"""Saying that kernels are being compiled, which otherwise looks as if the work were hanging."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import event

__all__ = ["first_compile_announced"]


class _FirstCompile(event.Listener):
    """Calls a function when a compilation begins, once; kernels that are read from the disk are not compiled."""

    def __init__(self, announce: Callable[[], object]) -> None:
        self._announce: Callable[[], object] | None = announce

    def on_start(self, event: Any) -> None:
        announce, self._announce = self._announce, None
        if announce is not None:
            announce()

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def first_compile_announced(announce: Callable[[], object]) -> Iterator[None]:
    """Call ``announce`` if anything is compiled inside, when that begins."""
    with event.install_listener("numba:compile", _FirstCompile(announce)):
        yield
