"""What is to be measured, as a list: here one after the other, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastntk.distributed import Task, Workers
from fastntk.theory.verification.facts import Facts

__all__ = ["Measurement", "measure_all"]


@dataclass(frozen=True)
class Measurement:
    """``function(facts, *arguments)``, the name of what it is part of, and words for who watches."""

    part: Any
    text: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def measure_all(
    facts: Facts, wanted: list[Measurement], report: Callable[[str], object], workers: Workers | None
) -> dict[Any, list[Any]]:
    """The results by part, in the order of the list whoever finds them; `report` is told what begins, or is done."""
    found: dict[int, Any] = {}
    if workers is None:
        for number, one in enumerate(wanted):
            report(one.text)
            found[number] = one.function(facts, *one.arguments)
    else:
        given = workers.shared(facts)
        tasks = (Task(number, one.function, (given, *one.arguments)) for number, one in enumerate(wanted))
        for done in workers.each(tasks):
            found[done.key] = done.result
            report(f"done: {wanted[done.key].text} ({len(found)} of {len(wanted)})")
    parts: dict[Any, list[Any]] = {}
    for number, one in enumerate(wanted):
        parts.setdefault(one.part, []).append(found[number])
    return parts
