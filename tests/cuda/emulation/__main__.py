"""Run a module there: ``python -m tests.cuda.emulation MODULE ARGUMENTS...``."""

import runpy
import sys

from fastntk.compilation.jit_cuda import cuda  # noqa: F401 - makes NumPy what numba-cuda expects
from tests.cuda.emulation.install import emulated

with emulated():
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
