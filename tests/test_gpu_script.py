"""The minutes on a GPU are spent as `benchmarks.gpu` promises, with stand-ins for what it runs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import gpu, gpu_parts, gpu_record, gpu_report
from benchmarks.gpu_parts import GpuPart, Stage

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for a POSIX shell")


def script(name, text):
    return GpuPart(name, ("-c", f"from benchmarks import gpu_record\n{text}"))


def alone(*parts, seconds=30.0):
    return [Stage(seconds, (part,)) for part in parts]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs these stages; the status, what was printed, and the report."""
    monkeypatch.setattr(GpuPart, "command", lambda part: [sys.executable, *part.arguments])
    (tmp_path / gpu.LOGS).mkdir()

    def start(stages, seconds=60.0):
        status = gpu._run(stages, tmp_path, seconds, quick=True)
        report = json.loads((tmp_path / "gpu.json").read_text())
        return status, capsys.readouterr().out, report

    return start


def test_a_failing_a_killed_and_a_hanging_part_do_not_stop_the_next(run, tmp_path):
    status, printed, report = run(
        [
            *alone(
                script("failing", "gpu_record.add(smoke='kernel', right=False); print('why'); 1 / 0"),
                script("killed", "import os; os.abort()"),
            ),
            *alone(script("hanging", "gpu_record.add(clocks={}); import time; time.sleep(60)"), seconds=2.0),
            *alone(script("last", "gpu_record.add(libraries={'torch': '2'})")),
        ]
    )
    assert status == 1
    assert [(part["ended"], part["how"]) for part in report["parts"]] == [
        ("failing", "failed"),
        ("killed", "failed with status -6"),
        ("hanging", "cut off after 2 s"),
        ("last", "done"),
    ]
    assert report["libraries"] == {"torch": "2"}
    assert "smoke: kernel WRONG" in printed
    assert "not done: failing (failed), killed" in printed
    assert "ZeroDivisionError" in (tmp_path / gpu.LOGS / "failing.log").read_text()
    assert (tmp_path / "gpu.txt").read_text() in printed


def test_what_does_not_fit_the_minutes_is_named_and_no_failure(run, monkeypatch):
    monkeypatch.setattr(gpu, "_LEAST", 1.0)
    stages = alone(script("long", "import time; time.sleep(60)"), script("one", ""), script("two", ""))
    status, printed, report = run(stages, seconds=2.0)
    assert status == 0
    assert report["parts"][0]["how"] == "cut off at the end of the minutes"
    assert report["left_out"] == ["one", "two"]
    assert "did not fit the minutes: one, two" in printed


def test_everything_fine_is_status_zero(run):
    assert run(alone(script("one", ""), script("two", "")))[0] == 0


def test_parts_of_a_stage_run_side_by_side_as_many_as_there_are_cores(run, monkeypatch, tmp_path):
    """A part waits for a file of its neighbour; what does not fit the stage is named."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    code = "import pathlib, time\nhere = pathlib.Path({!r})\n(here / '{}').touch()\n"
    code += "while not (here / '{}').exists(): time.sleep(0.01)\n"
    pairs = [("a", "b"), ("b", "a"), ("c", "never")]
    parts = [
        script(f"{own} waits for {other}", code.format(str(tmp_path), own, other)) for own, other in pairs
    ]
    status, printed, report = run([Stage(4.0, (*parts, parts[2], script("late", "")))])
    assert status == 1
    assert sorted((part["ended"], part["how"]) for part in report["parts"]) == [
        ("a waits for b", "done"), ("b waits for a", "done"), *2 * [("c waits for never", "cut off after 4 s")],
    ]  # fmt: skip
    assert report["left_out"] == ["late"]


def test_interrupted_it_leaves_what_was_learned(tmp_path):
    code = f"""
import sys
from pathlib import Path
from benchmarks import gpu
from benchmarks.gpu_parts import GpuPart, Stage
GpuPart.command = lambda part: [sys.executable, *part.arguments]
text = "from benchmarks import gpu_record; gpu_record.add(libraries={{'torch': '2'}}); import time; time.sleep(60)"
sys.exit(gpu._run([Stage(50.0, (GpuPart("hanging", ("-c", text)),))], Path({str(tmp_path)!r}), 60.0, True))
"""
    (tmp_path / gpu.LOGS).mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    until = time.monotonic() + 30
    while "libraries" not in str(gpu_record.read(tmp_path / "gpu.jsonl")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads((tmp_path / "gpu.json").read_text())["libraries"] == {"torch": "2"}


TESTS = """
import os, time
def test_first(): pass
def test_hangs(): time.sleep(60)
def test_fails(): assert False
def test_breaks(): raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")
def test_last(): pass
"""


def test_tests_go_on_after_one_that_hangs_or_breaks_the_device(run, tmp_path, monkeypatch):
    """Two files, side by side."""
    for name in ("these", "those"):
        (tmp_path / f"test_{name}.py").write_text(TESTS)
    (tmp_path / "impatient.py").write_text("from benchmarks import gpu_tests\ngpu_tests._SECONDS = 1\n")
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    monkeypatch.setattr(gpu, "_toolkit", lambda: environment)
    plugins = ("-p", "benchmarks.gpu_tests", "-p", "impatient", "-p", "no:cacheprovider")
    arguments = ("-m", "pytest", "-q", *plugins, "--rootdir", str(tmp_path), "-c", os.devnull)
    parts = [
        GpuPart(f"tests: {name}", (*arguments, str(tmp_path / f"test_{name}.py")), True)
        for name in ("these", "those")
    ]
    status, printed, report = run([Stage(60.0, tuple(parts))])
    assert status == 1
    assert report["tests"]["line"] == "4 passed, 4 failed, 2 broke off"
    assert sorted(name.rpartition("test_")[2] for name in report["tests"]["failed"]) == [
        "breaks", "breaks", "fails", "fails", "hangs", "hangs",
    ]  # fmt: skip
    assert "tests: 4 passed, 4 failed, 2 broke off" in printed


def test_a_test_that_the_end_of_the_part_cut_off_has_not_failed():
    lines = [
        {"part": "tests: a", "tests": 3},
        {"at": 1.0, "part": "tests: a", "began": "one"},
        {"at": 2.0, "test": "one", "outcome": "passed"},
        {"at": 2.0, "part": "tests: a", "began": "two"},
        {"at": 4.0, "ended": "tests: a", "how": "cut off after 3 s"},
    ]
    assert gpu_report.tests(lines) == {"status": 0, "line": "1 passed, 2 not run", "failed": []}
    lines[-1]["at"] = 60.0
    assert gpu_report.tests(lines) == {
        "status": 1,
        "line": "1 passed, 1 broke off, 1 not run",
        "failed": ["two"],
    }


def test_order_and_every_test_file_once(monkeypatch):
    monkeypatch.delenv(gpu_parts.EMULATED, raising=False)
    stages = gpu_parts.stages(8.0, quick=False, tests=True)
    tests = stages.pop(2).parts
    assert [part.name for stage in stages for part in stage.parts][:8] == [
        "found", "smoke", "limits", "co-activation counts", "training step, dual", "masked sums", "limit gram",
        "reproduce",
    ]  # fmt: skip
    assert tests[0].name == "tests: kernels_conversion"
    named = {argument for part in tests for argument in part.arguments if argument.startswith("tests/")}
    there = {f"tests/cuda/{path.name}" for path in (ROOT / "tests" / "cuda").glob("test_*.py")}
    assert named == there - {"tests/cuda/test_ptx.py"}
    assert all(part.resumes and "gpu" in part.arguments for part in tests)
    assert not [part for stage in stages for part in stage.parts if part.resumes]
    assert [stage.parts for stage in gpu_parts.stages(8.0, quick=False, tests=False)] == [
        stage.parts for stage in stages
    ]


def test_eight_minutes_are_enough_for_all_that_is_begun():
    """Each at the end of its share; the first two may take longer where disks are slow."""
    shares = (
        gpu_parts._FOUND,
        gpu_parts._SMOKE,
        gpu_parts._TESTED,
        gpu_parts._LIMITS,
        *gpu_parts.CASES.values(),
    )
    assert sum(shares) <= 480


def test_a_line_that_was_cut_is_left_out(tmp_path):
    gpu_record.add(tmp_path / "record", device={"name": "A"})
    with (tmp_path / "record").open("a") as file:
        file.write('{"device": {"na')
    assert gpu_record.latest(gpu_record.read(tmp_path / "record"), "device") == {"name": "A"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--python", "/nowhere/python"],
            "--python /nowhere/python is not a Python of version 3.11 or newer",
        ),
        (["--minutes", "3", "--python"], "--python (nothing) is not a Python of version 3.11 or newer"),
        (["--minutes", "0.5", f"--python={sys.executable}"], "--minutes must be at least 1, got 0.5"),
        (
            ["--python", sys.executable, "--out", "/dev/null/there"],
            "--out /dev/null/there cannot be written: Not a directory",
        ),
    ],
)
def test_bad_arguments_are_one_line_and_status_two(arguments, said):
    done = subprocess.run(
        ["sh", ROOT / "scripts" / "gpu", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"gpu: {said}\n")


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ({"failed": {"torch int8": "RuntimeError: self.size(0) needs to be greater than 16"}}, False),
        ({"failed": {"torch int8": "wrong answer: differs by 1"}}, True),
        ({"failed": {"fastntk with transfers": "RuntimeError: no"}}, True),
        ({"error": "broke off while it was prepared and checked"}, True),
        ({}, False),
    ],
)
def test_only_what_is_ours_is_wrong_but_every_failure_is_named(row, wrong):
    """What another library cannot do is no failure of this one; other numbers may be."""
    assert gpu_report.wrong_row(row) == wrong
    timed = {"case": "counts", "seconds": {"fastntk": 1.0}, "shares": {"fastntk": {}}, "ratios": {}}
    for side, why in row.get("failed", {}).items():
        assert f"{side} failed ({why[:60]})" in gpu_report._row(timed | row)[0]
