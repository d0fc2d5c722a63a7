"""Words and numbers for the layers of a network; loads nothing that compiles."""

from collections.abc import Iterable
from typing import Any

from fastntk.base import checks

OUTPUTS = ("signs", "gaussian")
FLAT = {"first": "hidden", "second": "output", "both": "all"}
"""The words for the layers of a network with one hidden layer, and those for any depth."""


def checked_widths(width: Any, depth: int) -> tuple[int, ...]:
    """The width of each hidden layer, from one for all or one for each."""
    if isinstance(width, (str, bytes)) or not isinstance(width, Iterable):
        return (checks.integer(width, "width", 1),) * depth
    widths = tuple(checks.integer(value, "width", 1) for value in width)
    if len(widths) != depth:
        raise ValueError(
            f"width must be an integer or one for each of the {depth} hidden layers, got {len(widths)}"
        )
    return widths


def layer_numbers(layers: Any, depth: int) -> tuple[int, ...]:
    """Numbers of layers, ascending, depth + 1 for the output: of a word, a number or several numbers.

    Examples
    --------
    >>> layer_numbers("hidden", 3), layer_numbers((4, 2), 3), layer_numbers("both", 1)
    ((1, 2, 3), (2, 4), (1, 2))
    """
    if isinstance(layers, str):
        words = ("hidden", "output", "all") + (tuple(FLAT) if depth == 1 else ())
        word = checks.choice(layers, f"layers at depth {depth}", words)
        hidden, output = tuple(range(1, depth + 1)), (depth + 1,)
        return {"hidden": hidden, "output": output, "all": hidden + output}[FLAT.get(word, word)]
    numbers = tuple(
        checks.distinct_integers(layers if isinstance(layers, Iterable) else (layers,), "layers", 1)
    )
    if numbers[-1] > depth + 1:
        raise ValueError(
            f"layers must be numbers from 1 to {depth + 1} at depth {depth}, the last for the output, got {numbers[-1]}"
        )
    return numbers
