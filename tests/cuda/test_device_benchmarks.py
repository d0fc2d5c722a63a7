"""The script for GPU machines runs, checks its answers and writes what the report shows."""

import json

import pytest
from click.testing import CliRunner

from benchmarks import document, gpu, gpu_cases, tables
from benchmarks.case import OURS
from benchmarks.report import gpu_report
from fastntk.jit_cuda import simulated


def test_quick_run(tmp_path):
    done = CliRunner().invoke(
        gpu.main, ["--quick", "--no-tests", "--out", str(tmp_path)], catch_exceptions=False
    )
    assert done.exit_code == 0
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["case"] for row in report["rows"]] == [*(case[0] for case in gpu.CASES), "reproduce"]
    assert all(row["seconds"][OURS] > 0.0 for row in report["rows"])
    assert report["rows"][-1]["ratios"]["CPU"]["floor"] == 20.0
    assert report["device"]["name"] in tables.gpu(report)
    included = {"gpu": gpu_report(tmp_path)}
    assert included == {"gpu": report}
    if simulated():
        assert document.cuda(included) == "not measured"  # whatever its times are
        included["gpu"]["device"]["name"] = "NVIDIA Something"
    assert document.cuda(included) == f"measured on {included['gpu']['device']['name']}"


def test_not_measured(tmp_path):
    assert document.cuda({"gpu": gpu_report(tmp_path)}) == "not measured"


def test_wrong_answers_are_rows_with_an_error(monkeypatch):
    work = gpu_cases.masked_sums(3, 2, 5)
    call, numbers = work.sides[OURS]
    work.sides["other"] = (call, lambda result: numbers(result) + 1e-3)
    with pytest.raises(AssertionError, match=r"^other differs by 0.001"):
        work.check()
    row = gpu._row("masked sums", work, {"n": 3}, {}, quick=True)
    assert row["error"].startswith("wrong answer: other differs")
