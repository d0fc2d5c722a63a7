"""Independent computations at the same time."""

import threading

import numpy as np
import pytest

from fastntk.compilation.parallel_calls import ParallelCalls
from fastntk.compilation.threads import kernel_threads


def test_results_come_in_order_and_overlap():
    both = threading.Barrier(2, timeout=60)  # broken unless two functions wait at once
    with kernel_threads(2):
        assert ParallelCalls()(lambda: (both.wait(), 1)[1], lambda: (both.wait(), 2)[1]) == [1, 2]


def test_one_thread_means_one_after_the_other():
    with kernel_threads(1):
        found = ParallelCalls()(*[threading.get_ident] * 3)
    assert found == [threading.get_ident()] * 3


THREADS = """
import json
from fastntk.compilation.launch import current_threads
from fastntk.compilation.threads import kernel_threads
from fastntk.compilation.parallel_calls import ParallelCalls
with kernel_threads(2):
    print(json.dumps(ParallelCalls()(*[current_threads] * 3)))
"""


def test_kernels_inside_have_the_threads_of_the_caller(python):
    assert python(THREADS, env={"NUMBA_NUM_THREADS": "4"}) == [2, 2, 2]


def test_error_state_of_the_caller_holds_inside():
    with kernel_threads(2), np.errstate(over="ignore"):
        found = ParallelCalls()(*[lambda: np.geterr()["over"]] * 3)
    assert found == ["ignore"] * 3


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_waits_for_the_others(bad):
    ended = []

    def work(k):
        if k == bad:
            raise ValueError("of one")
        ended.append(k)

    with kernel_threads(2), pytest.raises(ValueError, match="of one"):
        ParallelCalls()(lambda: work(0), lambda: work(1))
    assert ended == [1 - bad]
