"""What pictures ask of a run and of its diagnostics, so that they need not know their classes."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Log(Protocol):
    """The log of a run, see `fastntk.Run`."""

    steps: NDArray[np.int64]
    times: NDArray[np.float64] | None
    loss: NDArray[np.float64] | None
    provenance: dict[str, Any]

    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def lr(self) -> float | None: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def places(self) -> NDArray[Any]: ...
    @property
    def series(self) -> dict[str, NDArray[np.float64]]: ...


class FlipCounts(Protocol):
    """First flip and numbers of flips of each neuron or sample."""

    first: NDArray[np.int64]
    net: NDArray[np.int64]
    total: NDArray[np.int64]


class FlipLog(Protocol):
    """Which patterns flip when, and quantiles of the drift, see `fastntk.Diagnostics`."""

    steps: NDArray[np.int64]
    net: NDArray[np.int64]
    levels: NDArray[np.float64]
    drift_quantiles: NDArray[np.float64]

    @property
    def cumulative(self) -> NDArray[np.int64]: ...
    @property
    def samples(self) -> FlipCounts: ...
    @property
    def neurons(self) -> FlipCounts: ...
