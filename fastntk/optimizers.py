"""Gradient descent and its accelerated relatives, as settings: the engines do the work.

With ``g`` the gradient at the present point and ``v`` a velocity that starts at zero:

    v <- momentum v - lr g,   w <- w + v               (heavy ball)
    v <- momentum v - lr g,   w <- w + momentum v - lr g   (Nesterov)

The second line is Nesterov's method written for the point it looks ahead to, at which gradients are taken.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from fastntk.base import checks

__all__ = ["OPTIMIZERS", "GradientDescent", "HeavyBall", "Nesterov", "Optimizer", "resolve"]


@dataclass(frozen=True)
class Optimizer:
    """What the optimizers share: see the subclasses."""

    name: ClassVar[str]
    momentum: float = 0.0

    def __post_init__(self) -> None:
        momentum = checks.nonnegative(self.momentum, "momentum")
        if momentum >= 1.0:
            raise ValueError(f"momentum must be below 1, got {self.momentum!r}")
        object.__setattr__(self, "momentum", momentum)

    def coefficients(self) -> tuple[float, float, float, float]:
        """``(beta, b, c, look)`` of ``v <- beta v + g``, ``w <- w + b v + c g``; v moves the point ``w - look v``."""
        return self.momentum, 1.0, 0.0, 0.0

    @property
    def stability(self) -> float:
        """Largest stable ``lr * lambda`` on a quadratic of curvature lambda."""
        return 2.0 * (1.0 + self.momentum)

    def record(self) -> dict[str, Any]:
        """Name and parameters, JSON-able."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """``w <- w - lr g``, stable for ``lr lambda_max < 2``.

    Raises
    ------
    ValueError
        If a momentum is given.
    """

    name = "gd"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.momentum:
            raise ValueError(f"momentum must be 0 for plain gradient descent, got {self.momentum!r}")

    def record(self) -> dict[str, Any]:
        """Return the name."""
        return {"name": self.name}


@dataclass(frozen=True)
class HeavyBall(Optimizer):
    """Polyak's method: ``v <- momentum v - lr g``, ``w <- w + v``.

    Parameters
    ----------
    momentum : float
        From 0 (plain gradient descent) to below 1.

    Raises
    ------
    ValueError, TypeError
        If the momentum is out of range.

    Notes
    -----
    Stable for ``lr lambda_max < 2 (1 + momentum)``.
    """

    name = "heavy_ball"
    momentum: float = 0.9


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """Nesterov's method: the gradient is taken at ``w + momentum v``, which is the network that is logged and returned.

    Parameters
    ----------
    momentum : float
        From 0 (plain gradient descent) to below 1.

    Raises
    ------
    ValueError, TypeError
        If the momentum is out of range.

    Notes
    -----
    Stable for ``lr lambda_max < 2 (1 + momentum) / (1 + 2 momentum)``.
    """

    name = "nesterov"
    momentum: float = 0.9

    def coefficients(self) -> tuple[float, float, float, float]:
        """The stored point looks ahead by the velocity as it will be damped next."""
        return self.momentum, self.momentum, 1.0, self.momentum

    @property
    def stability(self) -> float:
        """Largest stable ``lr * lambda`` on a quadratic of curvature lambda."""
        return 2.0 * (1.0 + self.momentum) / (1.0 + 2.0 * self.momentum)


OPTIMIZERS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (GradientDescent, HeavyBall, Nesterov)}


def resolve(optimizer: str | Optimizer) -> Optimizer:
    """The optimizer of that name, or the given one.

    Examples
    --------
    >>> resolve("nesterov")
    Nesterov(momentum=0.9)
    """
    others = "HeavyBall or Nesterov of fastntk.optimizers"
    return checks.instance(optimizer, "optimizer", Optimizer, OPTIMIZERS, others)
