"""Progress bars: of a sweep, of one run, of a matrix."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Progress", "SweepBar", "reporter"]

Progress = bool | Callable[[int, int], object]

_DELAY = 1  # seconds: no bar for what takes less
_COLUMNS = 100  # of a bar in a notebook, whose width nobody knows
_FORM = "{desc} {percentage:3.0f}% |{bar}| {elapsed} passed, {remaining} left"


class SweepBar:
    """Progress over all runs, weighted by width so that the time left is honest."""

    def __init__(self, todo: list[tuple[int, int]], steps: int, progress: Progress) -> None:
        self._weights = [width for width, _ in todo]
        self._total = sum(self._weights) * max(steps, 1)
        self._steps = max(steps, 1)
        self._callback = progress if callable(progress) else None
        self._show = progress is True and bool(todo)
        self._before = self._width = self._index = 0
        self._tqdm: Any = None

    def __enter__(self) -> SweepBar:
        if self._show:
            self._tqdm = _bar(self._total, smoothing=0.05, bar_format=_FORM)
        return self

    def __exit__(self, *_: object) -> None:
        if self._tqdm is not None:
            self._tqdm.close()

    def start(self, width: int, seed: int) -> None:
        """Begin a run."""
        self._width, self._index = width, self._index + 1
        if self._tqdm is not None:
            text = f"width {width}, seed {seed} (run {self._index} of {len(self._weights)})"
            self._tqdm.set_description_str(text, refresh=False)

    def step(self, step: int, steps: int) -> None:
        """Report that the current run has reached `step`."""
        self._report(self._before + self._width * step)

    def finish(self, width: int) -> None:
        """End the current run."""
        self._before += width * self._steps
        self._report(self._before)

    def _report(self, done: int) -> None:
        if self._callback is not None:
            self._callback(done, self._total)
        if self._tqdm is not None:
            self._tqdm.update(done - self._tqdm.n)


@contextlib.contextmanager
def reporter(
    progress: Progress, total: int, label: str, done: int = 0, unit: str = "step"
) -> Iterator[Callable[[int], object]]:
    """Progress of one piece of work: a function to be called with what has been reached; `done` was there before."""
    if callable(progress):
        yield lambda reached: progress(reached, total)
    elif not progress:
        yield lambda reached: None
    else:
        # Large counts are shown as a share; what was there before must not count for the speed.
        look = {"bar_format": _FORM} if total > 10**6 else {}
        with _bar(total, desc=label, initial=done, unit=unit, **look) as bar:
            yield lambda reached: bar.update(reached - bar.n)


def _bar(total: int, **look: Any) -> Any:
    """A bar on stderr if that is a terminal or the output of a notebook's cell, else none."""
    from tqdm import tqdm

    place = {"disable": False, "ncols": _COLUMNS} if _in_notebook() else {"disable": None}
    return tqdm(total=total, delay=_DELAY, leave=False, **place, **look)


def _in_notebook() -> bool:
    """Whether stderr is what a Jupyter kernel sends to the cell; it draws a bar of text as a terminal does."""
    return type(sys.stderr).__module__.startswith("ipykernel.")
