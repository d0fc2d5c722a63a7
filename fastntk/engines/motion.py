"""What may be asked of an engine: its name, and what moves; loads nothing that compiles."""

import dataclasses

from fastntk.optimizers import GradientDescent, Optimizer

CHOICES = ("auto", "dual", "primal", "path", "cuda")


@dataclasses.dataclass(frozen=True)
class Motion:
    """What moves, and how.

    Attributes
    ----------
    layers : {"first", "second", "both"}
    optimizer : Optimizer
    flow : bool
        Gradient flow, which keeps a second state to return to, instead of descent.
    """

    layers: str = "first"
    optimizer: Optimizer = dataclasses.field(default_factory=GradientDescent)
    flow: bool = False

    @property
    def momentum(self) -> bool:
        """Whether there is a velocity."""
        return self.optimizer.momentum > 0.0

    @property
    def plain(self) -> bool:
        """Whether it is gradient descent, or the stages of a flow, of the first layer alone."""
        return self.layers == "first" and not self.momentum


PLAIN = Motion()
