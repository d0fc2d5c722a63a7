"""How far a path is while it is solved, in steps of the run, so that a bar moves during the rounds."""

from collections.abc import Callable

_PASS = 0.3  # of the time of a window: the pass over the weights
_FIRST = 0.7  # with the first round, which bounds all entries; every other one takes half of what is left


class Meter:
    """Called with the share that is done of a stage; it reports whole steps, never fewer than before.

    Examples
    --------
    >>> seen = []
    >>> meter = Meter(seen.append)
    >>> meter.window(0, 100)
    >>> for share in (0.5, 1.0):
    ...     meter(share)
    >>> meter.stage()
    >>> meter(0.5)
    >>> seen
    [15, 30, 50]
    """

    def __init__(self, report: Callable[[int], object] = lambda _: None) -> None:
        self._report, self._reached = report, 0
        self.window(0, 0)

    def window(self, done: int, steps: int) -> None:
        """Begin a window of so many steps with its pass over the weights."""
        self._done, self._steps = done, steps
        self._low, self._high = 0.0, _PASS

    def stage(self) -> None:
        """Go on to the next round."""
        self._low, self._high = self._high, max(_FIRST, 0.5 + 0.5 * self._high)

    def __call__(self, share: float) -> None:
        """So much of the stage is done."""
        reached = int(self._done + self._steps * (self._low + share * (self._high - self._low)))
        if reached > self._reached:
            self._reached = reached
            self._report(reached)
