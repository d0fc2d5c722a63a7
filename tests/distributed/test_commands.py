"""`--scheduler`: the commands give the same files on a cluster."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from fastntk.cli import main


def invoke(*arguments):
    found = CliRunner().invoke(main, list(arguments))
    return found.exit_code, found.output


def test_commands_on_a_running_cluster(client, tmp_path):
    address = client.scheduler.address
    np.save(tmp_path / "X.npy", np.random.default_rng(0).standard_normal((30, 5)))
    command = ["limit", "--data", str(tmp_path / "X.npy")]
    for name, more in (("here", []), ("there", ["--scheduler", address])):
        status, text = invoke(*command, "--out", str(tmp_path / f"{name}.npy"), *more)
        assert status == 0, text
    assert (tmp_path / "here.npy").read_bytes() == (tmp_path / "there.npy").read_bytes()
    np.savetxt(tmp_path / "Xy.csv", np.random.default_rng(0).standard_normal((20, 4)), delimiter=",")
    options = ["--data", str(tmp_path / "Xy.csv"), "--widths", "8,16", "--steps", "2"]
    status, text = invoke("sweep", *options, "--out", str(tmp_path / "sweep"), "--scheduler", address)
    assert status == 0, text
    assert "cluster" in fastntk.load(tmp_path / "sweep" / "sweep.npz").runs[0].provenance


def test_processes_of_its_own(tmp_path):
    options = ["--widths", "8", "--steps", "2", "--scheduler", "local:1"]
    status, text = invoke("sweep", *options, "--out", str(tmp_path / "s"))
    assert status == 0, text


def test_a_matrix_needs_a_file(client):
    status, text = invoke("limit", "--scheduler", client.scheduler.address)
    assert status == 2
    assert "client needs out=" in text


@pytest.mark.parametrize("address", ["here", "local:0", "tcp://"])
def test_bad_address(address):
    status, text = invoke("limit", "--scheduler", address)
    assert status == 2
    assert "none of tcp://HOST:PORT, local or local:N" in text


def test_nobody_answers(monkeypatch):
    monkeypatch.setattr("fastntk.cli.scheduler._SECONDS", 0.3)
    status, text = invoke("limit", "--scheduler", "tcp://127.0.0.1:9")
    assert status == 2
    assert "no scheduler with a worker answers" in text


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, text = invoke("limit", "--scheduler", "local")
    assert status == 2
    assert "pip install 'fastntk[dask]'" in text
