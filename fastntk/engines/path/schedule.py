"""How the gradients of a path move its weights: the coefficients of every step.

With g the derivatives of a step, times its weight, p a velocity and q the coefficients of the samples,

    p <- beta p + g,   q <- q + ahead p + direct g.

Descent, plain or with momentum, has the same coefficients at every step.  A step of a Runge-Kutta method is
a few rows of its own: its stages are combinations of gradients, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastntk.optimizers import Optimizer

__all__ = ["FLOW_ROWS", "FLOW_TIMES", "Schedule"]

# A step of size h: to E(y), E(E(y)), far = E(E(E(y))), (2 y + far) / 3 and E of that; E is descent by h / 2.
_STAGES = np.array(
    [
        (0.5, 0.0, 0.0, 1.0), (0.5, 1.0, 0.0, 1.0), (0.5, 1.0, 0.0, 1.0), (0.0, 1.0, -2.0 / 3.0, 0.0),
        (0.5, 0.0, 0.0, 1.0),
    ]
)  # fmt: skip


FLOW_ROWS = len(_STAGES)
FLOW_TIMES = np.array([0.0, 0.5, 1.0, 1.5, 0.5])  # of y and the stages, over the size of the step


@dataclass(frozen=True)
class Schedule:
    """Rows of steps: weight, beta, ahead, direct.

    Attributes
    ----------
    rows : ndarray, shape (steps, 4)
    shown : ndarray of bool, shape (steps + 1,)
        Where drifts are wanted.

    Examples
    --------
    >>> import numpy as np
    >>> flow = Schedule.of_flow([0.3, 0.6])
    >>> len(flow), np.round(flow.course(np.ones((10, 1)), np.zeros(1)).ravel()[::5], 12)
    (10, array([0. , 0.3, 0.9]))
    """

    rows: np.ndarray
    shown: np.ndarray

    @classmethod
    def of_descent(cls, optimizer: Optimizer, lr: float, steps: int) -> Schedule:
        """So many equal steps."""
        beta, ahead, direct, _ = optimizer.coefficients()
        return cls(np.tile([lr, beta, ahead, direct], (steps, 1)), np.ones(steps + 1, np.bool_))

    @classmethod
    def of_flow(cls, sizes: Sequence[float] | np.ndarray, logged: np.ndarray | None = None) -> Schedule:
        """Runge-Kutta steps of these sizes, five rows each (`engines.step_sizes`); some end at logged times."""
        rows = np.tile(_STAGES, (len(sizes), 1))
        rows[:, 0] *= np.repeat(np.asarray(sizes, np.float64), len(_STAGES))
        shown = np.zeros(len(rows) + 1, np.bool_)
        shown[FLOW_ROWS::FLOW_ROWS] = True if logged is None else logged
        return cls(rows, shown)

    def __len__(self) -> int:
        return len(self.rows)

    def until(self, steps: int) -> Schedule:
        """The first steps."""
        return Schedule(self.rows[:steps], self.shown[: steps + 1])

    @property
    def weights(self) -> np.ndarray:
        """Of the gradients, (steps,)."""
        return self.rows[:, 0]

    @property
    def motion(self) -> np.ndarray:
        """beta, ahead and direct, (steps, 3)."""
        return self.rows[:, 1:]

    @property
    def carries(self) -> bool:
        """Whether a velocity outlasts it."""
        return bool(self.motion[-1:, 0].any())

    def course(self, e: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Coefficients of the samples in the change of weights, (steps + 1, n), of entries that stay active."""
        E, moving = np.zeros((len(e) + 1, velocity.size)), velocity
        for t, ((beta, ahead, direct), derivative) in enumerate(self._with(e)):
            moving = beta * moving + derivative
            E[t + 1] = E[t] + ahead * moving + direct * derivative
        return E

    def travel(self, e: np.ndarray) -> np.ndarray:
        """Sum of the sizes of all changes of coefficients, (n,), at most, however the entry switches on and off."""
        way, moving = np.zeros(e.shape[1]), np.zeros(e.shape[1])
        for (beta, ahead, direct), derivative in self._with(np.abs(e)):
            moving = beta * moving + derivative
            way = way + abs(ahead) * moving + direct * derivative
        return way

    def coast(self, steps: int) -> tuple[float, float]:
        """Position and velocity after so many steps without gradient, of a unit velocity."""
        speeds = np.cumprod(self.motion[:steps, 0])
        return float(self.motion[:steps, 1] @ speeds), float(speeds[-1]) if steps else 1.0

    def coasting(self) -> float:
        """The way of a unit velocity without gradient, at most."""
        return float(np.abs(self.motion[:, 1]) @ np.cumprod(self.motion[:, 0]))

    def positions(self, step: int) -> np.ndarray:
        """What each gradient up to a step has moved the weights by, times its weight, (step,)."""
        found = self._whole[:step].copy()
        beta, ahead = self.motion[:, 0], self.motion[:, 1]
        moved = 0.0
        for t in range(step - 1, -1, -1):  # up to the last step that forgets the velocity
            moved = ahead[t] + (beta[t + 1] * moved if t + 1 < step else 0.0)
            found[t] = self.motion[t, 2] + moved
            if beta[t] == 0.0:
                break
        return found * self.weights[:step]

    def velocities(self, step: int) -> np.ndarray:
        """The same for the velocity."""
        beta = self.motion[1:step, 0]
        return np.append(np.cumprod(beta[::-1])[::-1], 1.0)[:step] * self.weights[:step]

    @cached_property
    def _whole(self) -> np.ndarray:
        """What gradients move the weights by in the end, where the velocity has been forgotten since."""
        found, moved = np.empty(len(self)), 0.0
        for t in range(len(self) - 1, -1, -1):
            beta = self.motion[t + 1, 0] if t + 1 < len(self) else 0.0
            moved = self.motion[t, 1] + beta * moved
            found[t] = self.motion[t, 2] + moved
        return found

    def _with(self, e: np.ndarray) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        return zip(self.motion, self.weights[: len(e), None] * e, strict=False)
