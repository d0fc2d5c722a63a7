"""TBB, the only threading layer of Numba that survives both threads and fork, made visible to it."""

import ctypes
import sys
import warnings
from pathlib import Path


def preload_tbb() -> None:
    """Load TBB where pip puts it: inside a virtual environment the loader does not look there.

    It takes a millisecond, and helps only before the first parallel kernel of the process, be it the user's own.
    """
    if sys.platform == "linux":
        library = Path(sys.prefix, "lib", "libtbb.so.12")
        if library.exists():
            try:
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            except OSError as error:  # a foreign or damaged library: the next layer is used
                warnings.warn(f"TBB was found but cannot be loaded: {error}", RuntimeWarning, stacklevel=2)
