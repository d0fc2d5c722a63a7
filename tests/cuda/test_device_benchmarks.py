"""The script for GPU machines runs, checks its answers and writes what the report shows."""

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from benchmarks import (
    document,
    gpu_cases,
    gpu_found,
    gpu_limits,
    gpu_measure,
    gpu_parts,
    gpu_record,
    gpu_report,
    gpu_sides,
    gpu_smoke,
    tables,
)
from benchmarks import report as benchmarks_report
from benchmarks.case import OURS
from fastntk.compilation.jit_cuda import simulated


def test_every_case_runs_and_is_recorded(tmp_path, monkeypatch):
    """Each as the process that it is in `benchmarks.gpu`, at tiny sizes."""
    record = tmp_path / "gpu.jsonl"
    monkeypatch.setenv(gpu_record.PATH, str(record))
    monkeypatch.setenv(gpu_record.PART, "all")
    cases = [*(case[0] for case in gpu_measure.CASES), "reproduce"]
    assert sorted(cases) == sorted(gpu_parts.CASES)
    gpu_found.main()
    gpu_limits.main(quick=True)
    for case in cases:
        done = CliRunner().invoke(gpu_measure.main, [case, "60", "--quick"])
        assert done.exit_code == 0, (case, done.output, gpu_record.latest(gpu_record.read(record), "row"))
    report = gpu_report.write(tmp_path, quick=True)
    assert [row["case"] for row in report["rows"]] == cases
    assert all(row["seconds"][OURS] > 0.0 for row in report["rows"])
    assert report["rows"][-1]["ratios"]["CPU"]["floor"] == 1.0
    if not simulated():
        assert report["rows"][0]["shares"][OURS].keys() == {"popcount", "int8"}
        assert report["limits"]["memory"]["measured"]
    assert report["device"]["name"] in tables.gpu(report)
    included = {"gpu": benchmarks_report.gpu_report(tmp_path)}
    assert included == {"gpu": report}
    if simulated():
        assert document.cuda(included) == "not measured"  # whatever its times are
        included["gpu"]["device"]["name"] = "NVIDIA Something"
    assert document.cuda(included) == f"measured on {included['gpu']['device']['name']}"


def test_smoke(tmp_path, monkeypatch):
    monkeypatch.setenv(gpu_record.PATH, str(tmp_path / "gpu.jsonl"))
    monkeypatch.setenv(gpu_record.PART, "smoke")
    monkeypatch.setattr(gpu_smoke, "product", lambda: False)
    with pytest.raises(SystemExit) as ended:
        gpu_smoke.main()
    assert ended.value.code
    lines = gpu_record.read(tmp_path / "gpu.jsonl")
    assert [(line["smoke"], line["right"]) for line in lines[:2]] == [("transfer", True), ("kernel", True)]
    assert not lines[2]["right"]


class Same(gpu_sides.Library):
    """NumPy in the place of torch or CuPy, whose arrays have its operators."""

    def __init__(self):
        self.name, self.module = "numpy", np

    def array(self, values):
        return np.array(values)

    def host(self, values):
        return np.asarray(values)


def test_the_other_sides_do_the_same_work():
    library, m = Same(), 40
    X, y = fastntk.datasets.sphere(9, 4, seed=0)
    net = fastntk.TwoLayerReLU.init(4, m, seed=0)
    rows = X.astype(np.float32)
    masks = fastntk.activation_masks(rows, net.W)
    dense = masks.to_dense()
    for found, expected in (
        (gpu_sides.counts(library, dense)["numpy float32"](), fastntk.coactivation_counts(masks)),
        (gpu_sides.flips(library, dense, ~dense)(), dense.size),
        (gpu_sides.masked_sums(library, dense, rows)(), dense.T @ X),
        (gpu_sides.gram(library, rows, net.W)(), fastntk.gram(rows, net.W)),
    ):
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)
    limit = gpu_sides.limit(library, rows)()  # arccos in float32 loses half the digits near the diagonal
    assert np.abs(limit - fastntk.limit_gram(rows)).max() < 1e-3
    pattern, numbers = gpu_sides.activation_masks(library, rows, net.W)
    assert np.array_equal(pattern(), dense)
    assert np.array_equal(numbers(pattern()), dense.sum(1))
    step = gpu_sides.Step(library, X, y, net.W, net.a, 0.5, compiled=False)
    assert np.allclose(step(), net(X), atol=1e-6)
    expected = fastntk.train(X, y, net=net, steps=1, lr=0.5).net.W
    assert np.allclose(step.W, expected, atol=1e-6)
    W, loss, flips, drift, _ = step._move(step.W)
    run = fastntk.train(X, y, net=net, steps=1, lr=0.5)
    assert np.allclose(
        [loss, flips / dense.size, drift], [run.loss[1], run.flips[1], run.drift[1]], rtol=1e-5
    )


def test_limits_follow_from_the_clocks(tmp_path):
    """Of an H200 by its datasheet: 67 Tflop/s, 4.8 TB/s."""
    device = gpu_limits.Device("NVIDIA H200", "9.0", 141 * 10**9, 132, 1.98e9, 3.2e9, 6144, None)
    found = {name: limit["rate"] for name, limit in gpu_limits.limits(device).items()}
    assert found["float32"] == pytest.approx(67_000, rel=0.01)
    assert found["memory"] == pytest.approx(4_800, rel=0.03)
    assert found["popcount"] == pytest.approx(2 * found["float32"])


def test_every_row_of_the_report_is_legible():
    """A row that is right, one that is wrong, one side that misses what is required."""
    ratio = {"median": 2.0, "min": 1.5, "max": 3.0}
    right = {
        "case": "training step, dual", "label": "n=4096", "formula": "2 n^2 m flops",
        "shares": {
            OURS: {"float32": 1.234}, gpu_cases.TRANSFERS: {"float32": 0.01}, "torch float32": {"float32": 0.5},
        },
        "failed": {"cupy float32": "ImportError: no cuBLAS"},
        "seconds": {OURS: 1e-3, gpu_cases.TRANSFERS: 0.5, "torch float32": 2e-3},
        "ratios": {gpu_cases.TRANSFERS: ratio, "torch float32": ratio | {"floor": 3.0}},
    }  # fmt: skip
    wrong = {"case": "flip count", "label": "n=8", "error": "wrong answer: torch differs by 1"}
    text = tables.gpu(
        {
            "device": {"name": "NVIDIA Something", "capability": "9.0", "package": "numba-cuda"},
            "limits": {"float32": {"rate": 67000.0, "unit": "Gflop/s"}},
            "tests": None, "libraries": {"torch": "2.9"}, "mode": "default",
            "environment": {"created": "today"}, "rows": [right, wrong], "left_out": ["reproduce"],
        }
    )  # fmt: skip
    for line in (
        "| training step, dual | n=4096 | fastntk | 1 ms |  | 123 % float32 |  |",
        "|  |  | fastntk with transfers | 500 ms | 2.00x (1.50–3.00) | 1 % float32 |  |",
        "|  |  | torch float32 | 2 ms | 2.00x (1.50–3.00) | 50 % float32 | 3.00x: missed |",
        "|  |  | cupy float32 | ImportError: no cuBLAS |  |  |  |",
        "| flip count | n=8 | wrong answer: torch differs by 1 |  |  |  |  |",
        "- limit of float32: 6.7e+04 Gflop/s",
        "- training step, dual: 2 n^2 m flops",
        "- did not fit the minutes: reproduce",
    ):
        assert line in text.splitlines()


def test_not_measured(tmp_path):
    assert document.cuda({"gpu": benchmarks_report.gpu_report(tmp_path)}) == "not measured"


def test_a_side_that_is_wrong_or_fails_is_named_and_the_others_are_timed():
    work = gpu_cases.masked_sums(3, 2, 5)
    call, numbers = work.sides[OURS]
    work.sides |= {"other": (call, lambda result: numbers(result) + 1e-3), "broken": (lambda: 1 / 0, numbers)}
    work.sides["another"] = call, numbers
    work.beside(lambda library: {"twin": (call, numbers)})
    said = []
    row = gpu_measure._row("masked sums", work, True, 0.0, lambda row: said.append(dict(row)))
    assert said == [row]
    assert row["seconds"].keys() >= {OURS, "another"}
    assert row["failed"]["other"].startswith("wrong answer: differs by 0.001")
    assert row["failed"]["broken"].startswith("ZeroDivisionError")
    assert "other" not in row["ratios"]


def test_where_ours_fails_nothing_is_timed():
    work = gpu_cases.masked_sums(3, 2, 5)
    work.sides = {OURS: (lambda: 1 / 0, np.asarray), "other": work.sides[OURS]}
    row = gpu_measure._row("masked sums", work, True, 0.0, lambda row: None)
    assert row["error"].startswith("ZeroDivisionError")
    assert "seconds" not in row
