"""What the rounds of a window end with."""

from dataclasses import dataclass

import numpy as np

from fastntk.engines.path.outputs import Outputs
from fastntk.engines.path.sweeps import Swept


@dataclass(frozen=True)
class Solved:
    """A window whose residuals have settled.

    ``outputs`` and ``E`` hold steps 0 ... ``steps``; ``change`` is the last change of the residuals in these.
    """

    outputs: Outputs
    E: np.ndarray
    swept: Swept
    steps: int
    rounds: int
    candidates: int
    change: float
