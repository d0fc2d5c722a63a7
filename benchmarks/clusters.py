"""One run over the processes of a local cluster, pinned to the cores: ``python -m benchmarks.clusters [--quick]``.

Prints the tables of docs/clusters.md: the overhead of a round, a run over two workers against the same one in this
process, and runs over 1, 2 and 4 processes beside what the cost model says.  Some minutes.
"""

import argparse
import contextlib
import os
import time

import numpy as np
from distributed import Client, LocalCluster

import fastntk
from benchmarks.processor import forced, warning
from fastntk.compilation.threads import kernel_threads
from fastntk.distributed import Workers
from fastntk.distributed.errands import processor
from fastntk.engines.path import PathProblem, solve, teams
from fastntk.engines.path.spread import Spread
from fastntk.losses import Squared
from fastntk.model.draws import Draws
from fastntk.model.streamed import Drawn
from fastntk.optimizers import GradientDescent

CORES = sorted(os.sched_getaffinity(0))
STEPS, LR = 100, 0.1
ROUND = 8000  # neurons of the run whose rounds are timed
PIECE = 2**27  # bytes that tell the bandwidth


@contextlib.contextmanager
def workers(count):
    """A client of processes of one thread, each on one core."""

    def pin(dask_worker):
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), {CORES[dask_worker.name % len(CORES)]})

    with (
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        client.run(pin)
        yield client


def trained(X, y, width, parts, client=None):
    """Seconds of a run of so many parts, and the run."""
    teams.SIZE = width // parts  # this process alone cuts networks
    threads = None if client else len(CORES)
    began = time.perf_counter()
    run = fastntk.train(X, y, width=width, steps=STEPS, lr=LR, engine="path", threads=threads, client=client)
    return time.perf_counter() - began, run


def steps_of(problem, team):
    """Seconds of each step of a team along a whole path."""
    found, do = [], team.do

    def timed(*arguments):
        began = time.perf_counter()
        share = do(*arguments)
        found.append(time.perf_counter() - began)
        return share

    team.do = timed
    solve(problem, team=team)
    return found


def overhead(X, y, client, repeats=5):
    """Milliseconds that a step takes longer on a worker than here, the best of some each; both have one thread."""
    teams.SIZE = ROUND // 2
    net = Drawn(Draws(0, 1.0, False), X.shape[1], np.dtype("float32")).network(ROUND)
    problem = PathProblem(
        X.astype(np.float32).astype(float), y, Squared(), GradientDescent(), LR, STEPS, net.a, net.weights
    )
    here, there = [], []
    with kernel_threads(1):
        for _ in range(repeats):
            here.append(steps_of(problem, teams.Here(problem)))
            there.append(steps_of(problem, Spread(problem, net, Workers.of(client))))
    return 1e3 * (np.min(there, axis=0) - np.min(here, axis=0))


def bandwidth(client):
    """Bytes a second from a worker to this process."""
    far = Workers.of(client).keep(np.ones, PIECE // 8)
    client.gather(client.submit(np.sum, far))
    began = time.perf_counter()
    far.result()
    return PIECE / (time.perf_counter() - began)


def main(wide, table, parts=4):
    """All of it."""
    if forced():
        print(warning(forced()))
    X, y = fastntk.datasets.sphere(1000, 1000, seed=0)
    print(f"{processor()}, {len(CORES)} cores, n = d = 1000, {STEPS} steps\n")
    seconds, rows = {}, []
    with workers(2) as client:
        for width in (table, wide):  # compiles everywhere, then counts
            pairs = [
                [trained(X, y, width, 2)[0], trained(X, y, width, 2, client)[0]]
                for _ in range(1 if width == table else 2)
            ]
        here, there = np.min(pairs, axis=0)
        print(f"m = {wide}: this process {here:.1f} s, two workers {there:.1f} s, ratio {there / here:.2f}")
    for count in (1, 2, 4):
        with workers(count) as client:
            if count == 1:
                late, rate = overhead(X, y, client), bandwidth(client)
                latency = float(np.mean(late)) / 1e3
                text = ", ".join(f"{ms:.0f}" for ms in late)
                print(f"m = {ROUND}: milliseconds of overhead of begin, rounds, close: {text}")
                print(f"a worker to this process: {rate / 1e9:.2f} GB/s\n")
            trained(X, y, table // 8, parts, client)
            seconds[count], run = trained(X, y, table, parts, client)
            rows.append(
                (count, sum(run.provenance["engine"]["rounds"]), run.provenance["cluster"]["bytes_moved"])
            )
    print("| processes | seconds | model | rounds | MB moved |\n|---:|---:|---:|---:|---:|")
    for count, rounds, moved in rows:
        alike = min(count, len(CORES), parts)
        model = seconds[1] / alike + (1 - 1 / alike) * ((rounds + 2) * latency + moved / rate)
        print(f"| {count} | {seconds[count]:.1f} | {model:.1f} | {rounds} | {moved / 1e6:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="narrow networks: does it run?")
    main(*((4096, 2048) if parser.parse_args().quick else (262144, 131072)))
