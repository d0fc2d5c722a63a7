"""The script for GPU machines runs, checks its answers and writes what the report shows."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import fastntk
from benchmarks import document, gpu, gpu_cases, gpu_limits, gpu_sides, tables
from benchmarks.case import OURS
from benchmarks.report import gpu_report
from fastntk.compilation.jit_cuda import simulated


def test_quick_run(tmp_path):
    done = CliRunner().invoke(
        gpu.main, ["--quick", "--no-tests", "--out", str(tmp_path)], catch_exceptions=False
    )
    assert done.exit_code == 0
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["case"] for row in report["rows"]] == [*(case[0] for case in gpu.CASES), "reproduce"]
    assert all(row["seconds"][OURS] > 0.0 for row in report["rows"])
    assert report["rows"][-1]["ratios"]["CPU"]["floor"] == 1.0
    assert report["device"]["name"] in tables.gpu(report)
    included = {"gpu": gpu_report(tmp_path)}
    assert included == {"gpu": report}
    if simulated():
        assert document.cuda(included) == "not measured"  # whatever its times are
        included["gpu"]["device"]["name"] = "NVIDIA Something"
    assert document.cuda(included) == f"measured on {included['gpu']['device']['name']}"


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
        "limit": "float32", "share": 1.234,
        "seconds": {OURS: 1e-3, gpu_cases.TRANSFERS: 0.5, "torch float32": 2e-3},
        "ratios": {gpu_cases.TRANSFERS: ratio, "torch float32": ratio | {"floor": 3.0}},
    }  # fmt: skip
    wrong = {"case": "flip count", "label": "n=8", "error": "wrong answer: torch differs by 1"}
    text = tables.gpu(
        {
            "device": {"name": "NVIDIA Something", "capability": "9.0", "package": "numba-cuda"},
            "limits": {"float32": {"rate": 67000.0, "unit": "Gflop/s"}},
            "tests": None, "libraries": {"torch": "2.9"}, "mode": "default",
            "environment": {"created": "today"}, "rows": [right, wrong],
        }
    )  # fmt: skip
    for line in (
        "| training step, dual | n=4096 | fastntk | 1 ms |  | 123 % float32 |  |",
        "|  |  | fastntk with transfers | 500 ms | 2.00x (1.50–3.00) |  |  |",
        "|  |  | torch float32 | 2 ms | 2.00x (1.50–3.00) |  | 3.00x: missed |",
        "| flip count | n=8 | wrong answer: torch differs by 1 |  |  |  |  |",
        "- limit of float32: 6.7e+04 Gflop/s",
        "- training step, dual: 2 n^2 m flops",
    ):
        assert line in text.splitlines()


def test_without_a_device(tmp_path, monkeypatch):
    def require():
        raise fastntk.DeviceError("CUDA cannot be used: nothing there")

    monkeypatch.setattr("fastntk.device.driver.require", require)
    done = CliRunner().invoke(gpu.main, ["--out", str(tmp_path / "out")])
    assert (done.exit_code, done.output) == (1, "Error: CUDA cannot be used: nothing there\n")
    assert not (tmp_path / "out").exists()


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
