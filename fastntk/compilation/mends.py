"""What numba-cuda up to 0.30 needs of newer NumPy and Numba while it is imported."""

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def _with(module: Any, **names: Any) -> Iterator[None]:
    """Give a module the names that it lacks, for a while."""
    lacking = {name: value for name, value in names.items() if not hasattr(module, name)}
    for name, value in lacking.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name in lacking:
            delattr(module, name)


@contextlib.contextmanager
def mended() -> Iterator[None]:
    """NumPy 2.5 has no row_stack and warns of numba-cuda's NaT; Numba 0.66 moved two types (mended in 0.30.4)."""
    scalars, moved = (
        importlib.import_module(name) for name in ("numba.core.types.scalars", "numba.np.types")
    )
    types = {name: getattr(moved, name) for name in ("NPDatetime", "NPTimedelta")}
    with (
        warnings.catch_warnings(),
        _with(np, row_stack=lambda arrays: np.vstack(arrays)),
        _with(scalars, **types),
    ):
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
