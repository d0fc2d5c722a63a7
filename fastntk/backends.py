"""Threads of a computation: Numba's for the kernels, one for BLAS while kernels run.

Idle BLAS workers spin for a while after each call and would take cores from the kernels, so kernels that call
BLAS do so from their own threads, on one BLAS thread each.
"""

import contextlib
from collections.abc import Iterator

import numba
import threadpoolctl

from fastntk import checks


@contextlib.contextmanager
def kernel_threads(threads: int | None = None) -> Iterator[int]:
    """Run kernels on ``threads`` threads (default: Numba's current number) and BLAS on one; yields the number."""
    before = numba.get_num_threads()
    if threads is not None:
        most = int(numba.config.NUMBA_NUM_THREADS)
        if checks.integer(threads, "threads", 1) > most:
            raise ValueError(
                f"threads must be at most {most} (NUMBA_NUM_THREADS, by default the number of cores), got {threads}"
            )
        numba.set_num_threads(threads)
    try:
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            yield numba.get_num_threads()
    finally:
        numba.set_num_threads(before)
