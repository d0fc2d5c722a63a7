"""The exit status of scripts/test, with a stand-in for Python that fails where it is told to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "test"

# Says what it would have run, one line a call, and fails in the call that $FAILING describes.
PYTHON = """#!/bin/sh
called="${NUMBA_ENABLE_CUDASIM:+simulator }${FASTNTK_EMULATED_GPU:+emulated }$*"
echo "$called" >>"$CALLS"
[ "$called" != "$FAILING" ]
"""

CALLS = [
    "-m ruff format --check --quiet .",
    "-m ruff check --quiet .",
    "-m mypy",
    "-m pytest --ignore-glob=tests/test_*.py --ignore=tests/cli --ignore=tests/distributed --ignore=tests/matrices",
    "-m pytest tests/test_*.py tests/cli tests/distributed tests/matrices",
    "simulator -m pytest tests/cuda/test_kernels_*.py tests/cuda/test_device_benchmarks.py "
    "tests/cuda/test_device_copies.py tests/cuda/test_device_operations.py",
    "emulated -m pytest tests/cuda",
    "-m pytest tests/cuda/test_ptx.py",
]
if sys.platform != "linux":
    CALLS = [*CALLS[:3], "-m pytest"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for a POSIX shell")


def run(folder: Path, *arguments: str, failing: str = "") -> tuple[int, list[str]]:
    """The status of the script in `folder`, and the calls of Python it made, sorted from the third on."""
    scripts = folder / "scripts"
    scripts.mkdir()
    shutil.copy(SCRIPT, scripts)
    (scripts / "environment").write_text(f"root={folder}\nvenv={folder}/venv\nset_up() {{ :; }}\n")
    python = folder / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    calls = folder / "calls"
    environment = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "TMPDIR"))}
    ended = subprocess.run(
        ["sh", scripts / "test", *arguments],
        env=environment | {"CALLS": str(calls), "FAILING": failing},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    made = calls.read_text().splitlines()
    return ended.returncode, made[:2] + sorted(made[2:])


def test_success_is_status_zero(tmp_path):
    assert run(tmp_path) == (0, CALLS[:2] + sorted(CALLS[2:]))


@pytest.mark.parametrize("failing", CALLS)
def test_every_failure_is_the_scripts_failure(tmp_path, failing):
    status, calls = run(tmp_path, failing=failing)
    assert status == 1
    assert failing in calls


def test_arguments_go_to_the_first_tests_alone(tmp_path):
    assert run(tmp_path, "tests/model/test_flips.py", "-x") == (
        0,
        [*CALLS[:3], "-m pytest tests/model/test_flips.py -x"],
    )
