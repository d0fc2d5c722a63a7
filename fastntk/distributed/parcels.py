"""A value as it travels: what a worker adds to it while it works stays there."""

from __future__ import annotations

import pickle
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["Parcel", "opened"]


class Parcel:
    """The bytes that a value travels as, and the value.

    Attributes
    ----------
    nbytes : int
        How many there are; arrays are not copied for that.
    """

    def __init__(self, stream: bytes, buffers: list[np.ndarray]) -> None:
        self._stream, self._buffers = stream, buffers
        self.nbytes = len(stream) + sum(buffer.nbytes for buffer in buffers)

    @classmethod
    def of(cls, value: Any) -> Parcel:
        """Pack a value."""
        from distributed.protocol.pickle import dumps  # which knows functions of a session, too

        buffers: list[pickle.PickleBuffer] = []
        stream = dumps(value, buffer_callback=buffers.append)
        return cls(stream, [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers])

    @cached_property
    def value(self) -> Any:
        """What was packed."""
        return pickle.loads(self._stream, buffers=self._buffers)

    def __reduce__(self) -> tuple[Any, ...]:
        return Parcel, (self._stream, self._buffers)

    def __sizeof__(self) -> int:
        """The size that Dask asks for."""
        return self.nbytes


def opened(value: Any) -> Any:
    """What is in a parcel; other values as they are."""
    return value.value if isinstance(value, Parcel) else value
