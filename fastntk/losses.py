"""Losses ``L(u) = sum_i l(u_i, y_i)`` of the outputs, and the derivatives ``e_i = dl/du_i`` that drive every step."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np

from fastntk.base import checks

__all__ = ["LOSSES", "Huber", "Logistic", "Loss", "Squared", "explosion", "resolve"]

_EXPLODED = 1e4  # times the larger of the losses of the initial network and of the zero function


class Loss(abc.ABC):
    """A sum over samples of a convex function of the output.

    Attributes
    ----------
    name : str
        What ``loss=`` calls it.
    curvature : float
        Largest second derivative c: gradient descent on the linearised network is stable below ``2 / (c lambda_max)``.
    """

    name: ClassVar[str]
    curvature: ClassVar[float] = 1.0

    @abc.abstractmethod
    def evaluate(self, u: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """The sum over the samples, and the derivatives ``e`` (n,), both float64."""

    def check(self, y: np.ndarray) -> None:  # noqa: B027 - most losses take any label
        """Raise ValueError unless the labels suit the loss."""

    def record(self) -> dict[str, Any]:
        """Name and parameters, JSON-able."""
        return {"name": self.name, **vars(self)}

    def __repr__(self) -> str:
        parameters = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({parameters})"


class Squared(Loss):
    """``l(u, y) = (u - y)^2 / 2``, the loss of Du et al. (arXiv 1810.02054), Equation (2).

    Examples
    --------
    >>> Squared().evaluate(np.array([3.0, 0.0]), np.array([1.0, 1.0]))
    (2.5, array([ 2., -1.]))
    """

    name = "squared"

    def evaluate(self, u: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """Half the sum of squares, and the residual ``u - y``."""
        e = u - y
        return 0.5 * float(e @ e), e


class Logistic(Loss):
    """``l(u, y) = log(1 + exp(-y u))`` for labels -1 and +1.

    Notes
    -----
    ``e = -y / (1 + exp(y u))``; the second derivative is at most 1/4.  Neither overflows.

    Examples
    --------
    >>> value, e = Logistic().evaluate(np.array([0.0, 1000.0]), np.array([1.0, -1.0]))
    >>> round(value, 6), e
    (1000.693147, array([-0.5,  1. ]))
    """

    name = "logistic"
    curvature = 0.25

    def check(self, y: np.ndarray) -> None:
        """Labels are -1 or +1."""
        wrong = np.flatnonzero(np.abs(y) != 1.0)
        if wrong.size:
            raise ValueError(
                f"y must hold the labels -1 and +1 for loss='logistic', got {y[wrong[0]]:g} at index {wrong[0]}"
            )

    def evaluate(self, u: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """The sum of the logarithms, and ``-y / (1 + exp(y u))``."""
        margin = y * u
        small = np.exp(-np.abs(margin))
        value = np.maximum(-margin, 0.0) + np.log1p(small)
        return float(value.sum()), -y * np.where(margin > 0.0, small, 1.0) / (1.0 + small)


class Huber(Loss):
    """``l(u, y) = r^2 / 2`` for ``|r| <= delta`` and ``delta (|r| - delta / 2)`` beyond, with ``r = u - y``.

    Parameters
    ----------
    delta : float
        Largest derivative, above 0.

    Raises
    ------
    ValueError, TypeError
        If ``delta`` is not a number above 0.

    Examples
    --------
    >>> Huber(delta=2.0).evaluate(np.array([1.0, 5.0]), np.zeros(2))
    (8.5, array([1., 2.]))
    """

    name = "huber"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = checks.positive(delta, "delta")

    def evaluate(self, u: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """The sum, and the residual clipped to ``[-delta, delta]``."""
        residual = u - y
        e = np.clip(residual, -self.delta, self.delta)
        return float(e @ (residual - 0.5 * e)), e


def explosion(objective: Loss, initial: float, y: np.ndarray) -> float:
    """The loss above which a run has diverged, from that of the initial network and of the zero function.

    Examples
    --------
    >>> explosion(Squared(), 1.0, np.array([2.0]))
    20000.0
    """
    start = max(initial, objective.evaluate(np.zeros_like(y), y)[0])
    return min(_EXPLODED * start, float(np.finfo(np.float64).max))


LOSSES: dict[str, type[Loss]] = {kind.name: kind for kind in (Squared, Logistic, Huber)}


def resolve(loss: str | Loss) -> Loss:
    """The loss of that name, or the given one.

    Examples
    --------
    >>> resolve("huber")
    Huber(delta=1.0)
    """
    return checks.instance(loss, "loss", Loss, LOSSES, "a Loss of fastntk.losses")  # type: ignore[type-abstract]
