"""A cluster of two real worker processes, started once; a worker that is killed comes back under another address."""

import os
import signal
import time

import dask
import pytest
from distributed import Client, LocalCluster


@pytest.fixture(scope="session")
def cluster():
    """A local cluster gives up for good on a worker that is down 15 s after it died, if of a later death."""
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as found,
        Client(found) as client,
    ):
        yield client


@pytest.fixture
def client(cluster):
    """The client, of two workers whatever the test before did to them."""
    cluster.wait_for_workers(2, timeout=30)
    return cluster


@pytest.fixture
def kill(client):
    """Kill a worker once, as soon as it is called; for what calls back on progress."""
    killed = []

    def once(*_):
        if not killed:
            processing = client.processing()
            victim = max(processing, key=lambda address: len(processing[address]))
            killed.append(client.run(os.getpid, workers=[victim])[victim])
            os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.05)

    once.killed = killed
    return once
