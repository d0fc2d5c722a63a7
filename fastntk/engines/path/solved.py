"""What some neurons do in a window whose residuals have settled."""

from dataclasses import dataclass

import numpy as np

from fastntk.engines.path.schedule import Schedule
from fastntk.engines.path.sweeps import Swept


@dataclass(frozen=True)
class Solved:
    """``e`` and ``E`` are the derivatives and coefficients that the sweep followed, at steps 0 ... ``steps``."""

    schedule: Schedule
    e: np.ndarray
    E: np.ndarray
    swept: Swept
    steps: int
