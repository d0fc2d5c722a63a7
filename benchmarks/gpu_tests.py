"""A pytest plugin for tests on a GPU: each result is on disk as it comes, and no test takes the others along.

A test that hangs, or after which the device answers nothing any more, ends the process; begun again, it goes on with
the test after that one.
"""

import faulthandler
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_record

_SECONDS = 80  # a test may take, compiling included, while as many others compile as there are cores
_BROKEN = 70  # exit status
# After these errors every call fails until the process ends.
_LASTING = (
    "ILLEGAL_ADDRESS", "ILLEGAL_INSTRUCTION", "MISALIGNED_ADDRESS", "INVALID_ADDRESS_SPACE", "INVALID_PC",
    "LAUNCH_FAILED", "LAUNCH_TIMEOUT", "ERROR_ASSERT", "HARDWARE_STACK_ERROR", "ECC_UNCORRECTABLE",
)  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was begun before."""
    lines = gpu_record.read(Path(os.environ[gpu_record.PATH]))
    begun = {
        line["began"] for line in lines if "began" in line and line["part"] == os.environ[gpu_record.PART]
    }
    left_out = [item for item in items if item.nodeid in begun]
    items[:] = [item for item in items if item.nodeid not in begun]
    config.hook.pytest_deselected(items=left_out)
    if not begun or items:
        gpu_record.add(tests=len(items) + len(left_out))


def pytest_runtest_logstart(nodeid: str) -> None:
    gpu_record.add(began=nodeid)
    faulthandler.dump_traceback_later(_SECONDS, exit=True)


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or not report.passed:
        text = report.longreprtext[-2000:] if report.failed else ""
        gpu_record.add(
            test=report.nodeid, outcome=report.outcome, seconds=round(report.duration, 3), text=text
        )
        if any(error in text.upper() for error in _LASTING):
            os._exit(_BROKEN)


def pytest_runtest_logfinish(nodeid: str) -> None:
    faulthandler.cancel_dump_traceback_later()


def pytest_sessionfinish() -> None:
    gpu_record.add(tests_ended=True)
