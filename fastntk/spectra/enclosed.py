"""A number between two bounds."""

from typing import Any

from fastntk.base.notebook import table


class Enclosed(float):
    """A number together with bounds of the exact one; otherwise an ordinary float.

    Attributes
    ----------
    lower, upper : float
        The exact number lies between them, proven for matrices.  For operators they suppose products that are as
        accurate as those of a stored matrix; infinite where nothing was proven.
    """

    lower: float
    upper: float

    def __new__(cls, value: float, lower: float, upper: float) -> "Enclosed":
        """The float `value` with its bounds."""
        self = super().__new__(cls, value)
        self.lower = float(lower)
        self.upper = float(upper)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.lower, self.upper

    def __repr__(self) -> str:
        return f"Enclosed({float(self)!r}, lower={self.lower!r}, upper={self.upper!r})"

    def _repr_html_(self) -> str:
        rows = {"value": float(self), "lower": self.lower, "upper": self.upper}
        return table(["number", ""], [[name, repr(number)] for name, number in rows.items()])
