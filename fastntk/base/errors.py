"""Exceptions that callers may want to catch; bad arguments raise plain ``ValueError`` and ``TypeError``."""

import copyreg
from typing import Any


class MemoryLimitError(MemoryError, ValueError):
    """The requested computation does not fit in memory; the message says how much it would need."""


class DeviceError(RuntimeError):
    """A GPU was asked for and cannot be used here; the message says what is missing."""


class ClusterError(RuntimeError):
    """The workers of a cluster cannot do the work: gone, lost one after the other, or of another version."""


class ConvergenceWarning(UserWarning):
    """An iteration stopped before it reached the accuracy asked for; what it has is returned, with its residual."""


class _CarriesData(ArithmeticError):
    """An error whose attributes survive pickle, copy and a process pool.

    Built-in exceptions are made again by a call with `args`, which hold the message alone.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class DivergenceError(_CarriesData):
    """Training left the stable range.

    Attributes
    ----------
    run : fastntk.Run
        Everything that was logged up to and including the step at which the loss exploded.
    step : int
        That step.
    largest_stable_step : float
        ``2 / (c lambda_max(H(0)))``, c the largest second derivative of the loss (1 for the squared one), and another
        factor than 2 with momentum: descent on the linearised network is stable below it.
    """

    def __init__(self, message: str, run: Any, step: int, largest_stable_step: float) -> None:
        super().__init__(message)
        self.run = run
        self.step = step
        self.largest_stable_step = largest_stable_step


class ToleranceError(_CarriesData):
    """Gradient flow could not be followed with the accuracy that was asked for.

    Attributes
    ----------
    run : fastntk.Run
        Everything that was logged, and the network at the time that was reached.
    time : float
        That time.
    """

    def __init__(self, message: str, run: Any, time: float) -> None:
        super().__init__(message)
        self.run = run
        self.time = time


class SingularGramWarning(UserWarning):
    """Some samples are zero, multiples of each other or opposite, so that a smallest eigenvalue is (or may be) zero."""
