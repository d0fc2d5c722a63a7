"""Engines: what keeps the state of a training run and moves it by one step of exact gradient descent.

Their names are loaded on first use: the settings of a run, which the command line explains, need no kernel.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastntk.engines.motion import CHOICES, Motion

if TYPE_CHECKING:
    from fastntk.engines.choice import ENGINES, Choice, Course, choose, engine_of
    from fastntk.engines.deep import DeepEngine
    from fastntk.engines.dual import DualEngine
    from fastntk.engines.interface import Engine
    from fastntk.engines.path import PathEngine
    from fastntk.engines.primal import PrimalEngine

_HOME = {
    "ENGINES": "choice",
    "Choice": "choice",
    "Course": "choice",
    "DeepEngine": "deep",
    "DualEngine": "dual",
    "Engine": "interface",
    "PathEngine": "path",
    "PrimalEngine": "primal",
    "choose": "choice",
    "engine_of": "choice",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
