"""What numba-cuda needs of NumPy and Numba is there while it is imported, and gone after."""

import warnings

import numba.core.types.scalars as scalars
import numpy as np

from fastntk.compilation.mends import mended


def test_names_are_there_for_a_while(monkeypatch):
    monkeypatch.delattr(np, "row_stack", raising=False)  # as in NumPy 2.5
    monkeypatch.delattr(scalars, "NPDatetime", raising=False)  # as in Numba 0.66
    with mended():
        assert "row_stack" in vars(np)
        assert scalars.NPDatetime is not None
        warnings.warn("the 'generic' unit is deprecated", DeprecationWarning, stacklevel=1)
    assert not hasattr(np, "row_stack")
    assert not hasattr(scalars, "NPDatetime")
