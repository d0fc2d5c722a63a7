"""Kill workers at random moments of a run, a sweep and a matrix, and compare every bit: ``python -m ... [KILLS]``."""

import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import dask
import numpy as np
from distributed import Client, LocalCluster

import fastntk
from fastntk.distributed import Workers
from fastntk.engines.path import teams
from fastntk.matrices.limit import limit_source
from fastntk.matrices.tiled.whole import fill_target, target_of

X, Y = fastntk.datasets.sphere(60, 40, seed=0)


def run(client, folder):
    """A run of a few parts."""
    found = fastntk.train(X, Y, width=6000, steps=30, lr=0.3, engine="path", client=client)
    return [found.loss, found.flips, found.drift]


def sweep(client, folder):
    """Some runs, of which the widest is spread."""
    options = {"widths": [64, 128, 256, 2048], "seeds": [0, 1, 2], "steps": 20, "engine": "path"}
    found = fastntk.sweep(X, Y, **options, client=client, out=folder / "s")
    return [run.loss for run in found.runs] + [run.drift for run in found.runs]


def matrix(client, folder):
    """A matrix of many blocks."""
    source = limit_source(np.random.default_rng(0).standard_normal((800, 50)))
    workers = None if client is None else Workers.of(client)
    return [np.array(fill_target(source, target_of(folder / "K.npy", source), False, 100, workers))]


def bits(work, client):
    """Its results, in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        return work(client, Path(folder))


def in_peace(works, client):
    """What is expected of each work, and the seconds it takes on workers that have their kernels."""
    expected, seconds = {}, {}
    for work in works:
        expected[work] = bits(work, None)
        bits(work, client)
        began = time.perf_counter()
        bits(work, client)
        seconds[work] = time.perf_counter() - began
    return expected, seconds


def with_a_kill(work, client, seconds):
    """The same while a worker is killed, which then is back under another address."""
    address, pid = random.choice(list(client.run(os.getpid).items()))
    timer = threading.Timer(random.uniform(0.0, seconds), os.kill, (pid, signal.SIGKILL))
    timer.start()
    found = bits(work, client)
    timer.join()
    while address in client.scheduler_info()["workers"]:
        time.sleep(0.05)
    client.wait_for_workers(2, timeout=300)
    return found


def main(kills):
    """Each work once in peace, then again and again with a kill at a random moment of the time that it takes."""
    teams.SIZE = 1024  # in this process, which alone cuts networks
    random.seed(0)
    works, different = (run, sweep, matrix), 0
    # A local cluster gives up for good on a worker that is down so long after it died, be it of a later death.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"})
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        expected, seconds = in_peace(works, client)
        for done in range(1, kills + 1):
            work = works[done % len(works)]
            found = with_a_kill(work, client, seconds[work])
            same = all(np.array_equal(*pair) for pair in zip(found, expected[work], strict=True))
            different += not same
            print(f"{done} kills, {different} different: {work.__name__}", flush=True)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
