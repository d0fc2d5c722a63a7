"""What Numba needs to know of the process before it is loaded: where TBB is, and what ran before a fork.

TBB is the only threading layer of Numba that survives both threads and fork.
"""

import ctypes
import os
import sys
import warnings
from pathlib import Path

layer_of_parent: str | None = None  # the layer that had started in the process this one was forked from


def threading_layer() -> str | None:
    """Name of Numba's threading layer ("tbb", "omp", "workqueue"), or None before it has started."""
    numba = sys.modules.get("numba")
    try:
        return None if numba is None else str(numba.threading_layer())
    except ValueError:
        return None


def prepare() -> None:
    """Load TBB where pip puts it, for inside a virtual environment the loader does not look there; watch forks.

    It takes a millisecond, and helps only before the first parallel kernel of the process, be it the user's own.
    """
    library = Path(sys.prefix, "lib", "libtbb.so.12")
    if sys.platform == "linux" and library.exists():
        try:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:  # a foreign or damaged library: the next layer is used
            warnings.warn(f"TBB was found but cannot be loaded: {error}", RuntimeWarning, stacklevel=3)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    global layer_of_parent
    layer_of_parent = threading_layer()
