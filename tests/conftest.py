"""What all tests share: reproducible randomness, small problems, and fresh Python processes.

Warnings are errors (pyproject.toml). Every random number follows from the name of the test, and a failing test shows
its seed.
"""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("fastntk", derandomize=True, deadline=None, max_examples=40, print_blob=True)
settings.load_profile("fastntk")


@pytest.fixture
def seed(request):
    value = zlib.crc32(request.node.nodeid.rpartition("/")[2].encode())
    print(f"seed {value}")  # shown with a failing test
    return value


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


@pytest.fixture
def problem(rng):
    """Random problems; with ``integers`` all arithmetic on them is exact and many pre-activations are exactly 0."""

    def make(n, d, m, dtype=np.float64, integers=False):
        if integers:
            X, W = rng.integers(-2, 3, (n, d)), rng.integers(-2, 3, (m, d))
            y, a = rng.integers(-3, 4, n), rng.choice([-1, 1], m)
        else:
            X = rng.standard_normal((n, d))
            X /= np.linalg.norm(X, axis=1, keepdims=True)
            W, y, a = rng.standard_normal((m, d)), rng.standard_normal(n), rng.choice([-1.0, 1.0], m)
        return SimpleNamespace(
            X=X.astype(dtype), y=y.astype(np.float64), W=W.astype(dtype), a=a.astype(dtype)
        )

    return make


@pytest.fixture(scope="session")
def python():
    """Run a script in a fresh interpreter; it must succeed. Returns what it prints, decoded from JSON."""

    def run(script, *arguments, env=None, path=ROOT):
        environment = {**os.environ, "PYTHONPATH": str(path), **(env or {})}
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            cwd=path,
            env={name: value for name, value in environment.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    return run
