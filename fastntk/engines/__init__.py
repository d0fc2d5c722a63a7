"""Engines: what keeps the state of a training run and moves it by one step of exact gradient descent."""

from fastntk.engines.choice import CHOICES, Choice, choose, engine_of
from fastntk.engines.deep import DeepEngine
from fastntk.engines.dual import DualEngine
from fastntk.engines.interface import Engine, Motion
from fastntk.engines.primal import PrimalEngine

ENGINES: dict[str, type[Engine]] = {"dual": DualEngine, "primal": PrimalEngine}

__all__ = [
    "CHOICES",
    "ENGINES",
    "Choice",
    "DeepEngine",
    "DualEngine",
    "Engine",
    "Motion",
    "PrimalEngine",
    "choose",
    "engine_of",
]
