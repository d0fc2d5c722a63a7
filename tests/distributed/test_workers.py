"""The client of a user: what is accepted, what is refused, and how a cluster that is gone is told."""

import importlib
import sys
import time

import numpy as np
import pytest
from distributed import Client

import fastntk
from fastntk.base.errors import ClusterError
from fastntk.distributed import Task, Workers


def test_results_come_as_they_are_ready_and_are_all_there(client):
    workers = Workers.of(client)
    found = {
        done.key: done.result for done in workers.each(Task(i, divmod, (i, 7), i % 2) for i in range(20))
    }
    assert found == {i: divmod(i, 7) for i in range(20)}


def test_an_error_of_a_task_is_that_error_and_ends_the_others(client):
    workers = Workers.of(client)
    with pytest.raises(ZeroDivisionError):
        list(workers.each(Task(i, divmod, (1, i)) for i in (1, 0)))
    assert dict(done[:2] for done in workers.each([Task("after", abs, (-1,))])) == {"after": 1}


def test_what_is_shared_counts_once_a_worker(client):
    workers, value = Workers.of(client), np.zeros(10**5)
    given = workers.shared(value)
    assert [done.result for done in workers.each(Task(i, len, (given,)) for i in range(10))] == [10**5] * 10
    assert value.nbytes <= workers.record()["bytes_moved"] <= 2.1 * value.nbytes


def test_record_names_workers_hosts_and_versions(client):
    record = Workers.of(client).record()
    assert len(record["workers"]) == 2
    for facts in record["workers"]:
        assert facts["fastntk"] == fastntk.__version__
        assert facts["threads"] == 1
        assert facts["host"]
        assert facts["worker"].startswith("tcp://")


def test_kernels_run_on_the_threads_of_the_worker(client):
    def threads():
        from fastntk.compilation.launch import current_threads

        return current_threads()

    for whole in (True, False):
        assert [done.result for done in Workers.of(client).each([Task(0, threads, (), whole)])] == [1]


@pytest.mark.parametrize("client", ["tcp://127.0.0.1:8786", 2, object()])
def test_only_a_client_is_a_client(client):
    with pytest.raises(TypeError, match=r"^client must be a dask\.distributed\.Client, got"):
        Workers.of(client)


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"^client: .* pip install 'fastntk\[dask\]'$"):
        fastntk.limit_gram(np.eye(2), out="K.npy", client=object())


def test_closed_client(client):
    with Client(client.scheduler.address) as other:
        pass
    with pytest.raises(ClusterError, match="closed"):
        Workers.of(other)


def test_worker_of_another_version(client):
    def pretend(version):
        import fastntk

        fastntk.__version__ = version

    address = next(iter(client.nthreads()))
    client.run(pretend, "0.0.1", workers=[address])
    try:
        with pytest.raises(ClusterError, match=r"has fastntk 0\.0\.1 and this process"):
            Workers.of(client)
        workers = Workers(client, {})  # one that joins after the check
        with pytest.raises(ClusterError, match=r"has fastntk 0\.0\.1 and this process"):
            list(workers.each(Task(i, time.sleep, (0.05,)) for i in range(8)))
    finally:
        client.run(pretend, fastntk.__version__, workers=[address])
    assert len(Workers.of(client).found) == 2


def test_nothing_is_imported_without_a_client(python):
    script = (
        "import fastntk, json, sys\n"
        "fastntk.limit_gram([[1.0]])\n"
        "print(json.dumps([name for name in sys.modules if name.split('.')[0] in ('dask', 'distributed')]))"
    )
    assert python(script) == []
    assert importlib.util.find_spec("distributed") is not None
