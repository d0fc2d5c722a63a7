"""Without a usable GPU: the package works, and asking for one says what is missing. Nothing here imports CUDA."""

import importlib.metadata
import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk.cli import main
from fastntk.compilation import jit_cuda
from fastntk.device import driver
from fastntk.engines.choice import choose

STATUS = SimpleNamespace(
    CUDA_SUCCESS=SimpleNamespace(name="CUDA_SUCCESS"),
    CUDA_ERROR_NO_DEVICE=SimpleNamespace(name="CUDA_ERROR_NO_DEVICE"),
    CUDA_ERROR_SYSTEM_NOT_READY=SimpleNamespace(name="CUDA_ERROR_SYSTEM_NOT_READY"),
)


@pytest.fixture(autouse=True)
def forgotten():
    """What was found out about this machine's GPU does not count."""
    driver.require.cache_clear()
    yield
    driver.require.cache_clear()


@pytest.fixture
def machine(monkeypatch):
    """A machine with numba-cuda for CUDA 13 and the given driver."""

    def make(status="CUDA_SUCCESS", version=13020, error=None):
        def initialise(flags):
            if error is not None:
                raise error
            return (getattr(STATUS, status),)

        fake = ModuleType("cuda.bindings.driver")
        fake.cuInit, fake.CUresult = initialise, STATUS
        fake.cuDriverGetVersion = lambda: (STATUS.CUDA_SUCCESS, version)
        monkeypatch.setitem(sys.modules, "cuda.bindings.driver", fake)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name == "numba_cuda" else None)
        versions = {"numba-cuda": "0.30.4", "cuda-bindings": "13.5.0"}
        monkeypatch.setattr(importlib.metadata, "version", lambda name: versions[name])

    return make


def test_no_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        fastntk.DeviceError, match=r'no CUDA package is installed: pip install "fastntk\[cuda\]"$'
    ):
        fastntk.train(np.eye(2), np.ones(2), width=2, engine="cuda")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"error": RuntimeError("libcuda.so.1 is not there")}, "no NVIDIA driver was found: libcuda.so.1 is not the"),
        (
            {"version": 12080},
            "the NVIDIA driver is too old: it knows CUDA 12.8, but the installed CUDA packages need 13.0$",
        ),
        ({"status": "CUDA_ERROR_NO_DEVICE"}, "the NVIDIA driver finds no device$"),
        ({"status": "CUDA_ERROR_SYSTEM_NOT_READY"}, "the NVIDIA driver does not start: CUDA_ERROR_SYSTEM_NOT_READY$"),
    ],
)  # fmt: skip
def test_no_driver_or_device(machine, found, message):
    machine(**found)
    with pytest.raises(fastntk.DeviceError, match=f"^CUDA cannot be used: {message}"):
        fastntk.train(np.eye(2), np.ones(2), width=2, engine="cuda")
    with pytest.raises(fastntk.DeviceError, match=f"^CUDA cannot be used: {message}"):
        choose(2, 2, 2, engine="cuda")
    assert driver.state().startswith("not usable: ")


def test_a_driver_that_works(machine):
    machine()
    assert jit_cuda.problem() is None
    assert jit_cuda.package() == "numba-cuda 0.30.4"


def test_bad_arguments_come_before_a_missing_gpu(monkeypatch):
    monkeypatch.setattr(jit_cuda, "problem", lambda: "nothing there")
    with pytest.raises(ValueError, match="lr must be finite and above 0"):
        fastntk.train(np.eye(2), np.ones(2), width=2, engine="cuda", lr=-1.0)


@pytest.mark.parametrize("command", ["train", "sweep", "reproduce", "rates", "verify"])
def test_command_line(monkeypatch, tmp_path, command):
    """Below what was read one line, and status 2; nothing is left but the folder that was asked for."""
    monkeypatch.setattr(jit_cuda, "problem", lambda: "nothing there")
    data = tmp_path / "data.csv"
    data.write_text("x,y\n1,2\n3,4\n")
    out = ["--out", str(tmp_path / ("out.png" if command == "rates" else "out"))]
    widths = [
        "--width" if command in ("train", "rates") else "--widths",
        "4",
        *(out if command != "train" else []),
    ]
    done = CliRunner().invoke(main, [command, "--data", str(data), *widths, "--engine", "cuda"])
    assert done.exit_code == 2
    read, said = done.output.splitlines()
    assert read.startswith("data.csv: n = 2, d = 1, ")
    assert said == "Error: CUDA cannot be used: nothing there"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != data]


def test_info(monkeypatch):
    monkeypatch.setattr(jit_cuda, "problem", lambda: "nothing there")
    done = CliRunner().invoke(main, ["info", "--n", "2", "--d", "2", "--width", "2"])
    assert "cuda: not usable: nothing there\n" in done.output


WITHOUT = """
import json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba_cuda", "numba_cuda_mlir", "cuda") or name.startswith("numba.cuda"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import importlib.util
known = importlib.util.find_spec
def find_spec(name, package=None):
    return None if name in ("numba_cuda", "numba_cuda_mlir") else known(name, package)
importlib.util.find_spec = find_spec
import numpy as np, fastntk
X, y = fastntk.datasets.sphere(6, 3, seed=0)
run = fastntk.train(X, y, width=8, steps=2, metrics="all")
H = fastntk.gram(X, run.net.W)
try:
    fastntk.train(X, y, width=8, engine="cuda")
except fastntk.DeviceError as error:
    print(json.dumps([len(run.loss), H.shape, str(error), [m for m in sys.modules if m.startswith("numba.cuda")]]))
"""


def test_the_package_works_without_any_cuda_package(python):
    logged, shape, message, loaded = python(WITHOUT)
    assert (logged, shape, loaded) == (3, [6, 6], [])
    assert message == 'CUDA cannot be used: no CUDA package is installed: pip install "fastntk[cuda]"'
