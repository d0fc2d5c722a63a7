"""The scheduler is killed in the middle: a typed error within seconds, and what was finished is there."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from distributed import Client

import fastntk
from fastntk.base.errors import ClusterError
from fastntk.distributed import Workers
from fastntk.engines.path import teams
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled.whole import fill_target, target_of

X, Y = fastntk.datasets.sphere(20, 10, seed=0)
RUNS = {"widths": [64, 96, 128], "seeds": [0, 1], "steps": 5}


@pytest.fixture
def doomed(tmp_path):
    """A client of a cluster of its own, and what kills its scheduler; its list says when."""
    file = tmp_path / "scheduler.json"
    commands = [
        ["scheduler", "--port", "0", "--no-dashboard"],
        ["worker", "--nthreads", "1", "--no-nanny", "--no-dashboard"],
    ]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{command}", "--scheduler-file", str(file), *more],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for command, *more in commands
    ]  # fmt: skip

    def kill(*_):
        running[0].send_signal(signal.SIGKILL)
        running[0].wait()
        kill.times.append(time.monotonic())

    kill.times = []
    try:
        while not file.exists():
            time.sleep(0.05)
        with Client(scheduler_file=str(file), timeout=2) as client:
            client.wait_for_workers(1, timeout=30)
            yield client, kill
    finally:
        for process in running:
            process.kill()
            process.wait()


def dies(kill, call, *arguments, **options):
    with pytest.raises(ClusterError, match="the scheduler is gone"):
        call(*arguments, **options)
    assert time.monotonic() - kill.times[0] < 5


def test_sweep(doomed, tmp_path):
    client, kill = doomed
    dies(kill, fastntk.sweep, X, Y, **RUNS, client=client, out=tmp_path / "runs", progress=kill)
    assert len(list((tmp_path / "runs").glob("run-*.npz"))) == 1


def test_run(doomed, monkeypatch):
    client, kill = doomed
    monkeypatch.setattr(teams, "SIZE", 192)
    keep = Workers.keep

    def killing(self, function, *arguments, at=None):
        kept = keep(self, function, *arguments, at=at)
        if "sweep" in arguments and not kill.times:
            kill()
        return kept

    monkeypatch.setattr(Workers, "keep", killing)
    dies(kill, fastntk.train, X, Y, width=400, steps=5, engine="path", client=client)


def test_matrix(doomed, rng, tmp_path):
    client, kill = doomed
    source = limit_source(rng.standard_normal((60, 7)))
    dies(kill, fill_target, source, target_of(tmp_path / "K.npy", source), kill, 16, Workers.of(client))
    reached = []
    target = target_of(tmp_path / "K.npy", source)
    found = fill_target(source, target, lambda done, total: reached.append(done), 16)
    assert 0 < len(reached) < 10
    assert np.array_equal(found, fill_target(source, target_of(tmp_path / "here.npy", source), False, 16))
