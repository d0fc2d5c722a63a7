"""The path engine: all steps of gradient descent at once, dense work once, the rest on the entries that can change.

A neuron depends on the others only through the residuals of all steps.  So these are the unknown: from a
guess of them follow all changes of the pattern, and from those the residuals (`rounds`).  The guess is the
run of the network with the kernel of the start; step k is exact after k rounds, and in practice all are
after three or four.
"""

from fastntk.engines.path.attempt import Slow, attempt, attempt_flow
from fastntk.engines.path.counts import counts_of
from fastntk.engines.path.flows import solve_flow
from fastntk.engines.path.problem import PathProblem
from fastntk.engines.path.replay import PathEngine
from fastntk.engines.path.solution import Path
from fastntk.engines.path.teams import cuts
from fastntk.engines.path.windows import solve

__all__ = [
    "Path",
    "PathEngine",
    "PathProblem",
    "Slow",
    "attempt",
    "attempt_flow",
    "counts_of",
    "cuts",
    "solve",
    "solve_flow",
]
