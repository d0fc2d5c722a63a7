"""Engines: what keeps the state of a training run and moves it by one step of exact gradient descent."""

from fastntk.engines.choice import CHOICES, Choice, Course, choose, engine_of
from fastntk.engines.deep import DeepEngine
from fastntk.engines.dual import DualEngine
from fastntk.engines.interface import Engine, Motion
from fastntk.engines.path import PathEngine
from fastntk.engines.primal import PrimalEngine

ENGINES: dict[str, type[Engine]] = {"dual": DualEngine, "primal": PrimalEngine}

__all__ = [
    "CHOICES",
    "ENGINES",
    "Choice",
    "Course",
    "DeepEngine",
    "DualEngine",
    "Engine",
    "Motion",
    "PathEngine",
    "PrimalEngine",
    "choose",
    "engine_of",
]
