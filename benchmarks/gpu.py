"""Tests and benchmarks on a GPU: ``scripts/gpu`` or ``python -m benchmarks.gpu``; writes gpu.json for the report.

Times are those of device events around calls in a row, so our side and the others are measured on the device; "with
transfers" includes copies from and to the host.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import fastntk
from benchmarks import gpu_cases, gpu_limits, gpu_steps
from benchmarks.case import OURS
from benchmarks.gpu_cases import GpuWork
from benchmarks.gpu_sides import Library
from fastntk.compilation.jit_cuda import simulated
from fastntk.device import driver
from fastntk.results import provenance

ROOT = Path(__file__).resolve().parent.parent
# Name, what makes the work, its sizes, and those of --quick.
CASES: tuple[tuple[str, Callable[..., GpuWork], dict[str, int], dict[str, int]], ...] = (
    ("co-activation counts", gpu_cases.counts, {"n": 8192, "m": 131072}, {"n": 18, "m": 64}),
    ("flip count", gpu_cases.flips, {"n": 8192, "m": 131072}, {"n": 10, "m": 40}),
    ("masked sums", gpu_cases.masked_sums, {"n": 4096, "p": 4096, "m": 131072}, {"n": 10, "p": 5, "m": 40}),
    ("limit gram", gpu_cases.limit_gram, {"n": 8192, "d": 1024}, {"n": 9, "d": 4}),
    (
        "activation masks",
        gpu_cases.activation_masks,
        {"n": 8192, "d": 1024, "m": 65536},
        {"n": 9, "d": 4, "m": 40},
    ),
    ("gram from W", gpu_cases.gram, {"n": 8192, "d": 1024, "m": 65536}, {"n": 9, "d": 4, "m": 40}),
    ("training step, dual", gpu_steps.dual, {"n": 4096, "d": 4096, "m": 131072}, {"n": 9, "d": 4, "m": 40}),
    (
        "training step, primal",
        gpu_steps.primal,
        {"n": 8192, "d": 1024, "m": 65536},
        {"n": 9, "d": 2, "m": 40},
    ),
)
FLOORS = {  # times faster than the other side that a device of the H200's class must reach
    ("co-activation counts", "torch"): 1.0,
    ("training step, dual", "torch float32"): 3.0,
    ("training step, dual", "torch compiled, tf32"): 1.0,
    ("reproduce", "CPU"): 1.0,  # eigenvalues of H(k) are followed by the CPU on both sides
}
ROUNDS, AT_LEAST = 7, 0.2  # rounds, and seconds a side runs in each


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("results", "benchmarks"), show_default=True
)
@click.option("--quick", is_flag=True, help="Tiny sizes, one round: to see that everything runs.")
@click.option("--tests/--no-tests", default=True, help="Run the tests marked gpu first.")
def main(out: Path, quick: bool, tests: bool) -> None:
    """Run tests and benchmarks on the GPU and write gpu.json; exit status 1 without one, or if something was wrong."""
    try:
        driver.require()
    except fastntk.DeviceError as error:
        raise click.ClickException(str(error)) from None
    out.mkdir(parents=True, exist_ok=True)
    report = measure(quick, run_tests() if tests else None)
    (out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    click.echo(f"written to {out}: gpu.json")
    failed = report["tests"] is not None and report["tests"]["status"] != 0
    if failed or any("error" in row for row in report["rows"]):
        sys.exit(1)


def run_tests() -> dict[str, Any]:
    """Exit status and closing line of the tests marked gpu."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/cuda"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    click.echo(f"tests: {lines[-1]}")
    if done.returncode:
        click.echo(done.stdout)
    return {"status": done.returncode, "line": lines[-1]}


def measure(quick: bool, tests: dict[str, Any] | None) -> dict[str, Any]:
    """All figures, JSON-able."""
    found = gpu_limits.device()
    peaks = gpu_limits.limits(found)
    rows = [_row(name, make(**(small if quick else size)), small if quick else size, peaks, quick)
            for name, make, size, small in CASES]  # fmt: skip
    rows.append(_reproduce(quick))
    return {
        "device": dataclasses.asdict(found),
        "limits": peaks,
        "mode": "quick" if quick else "default",
        "libraries": {library.name: library.version for library in Library.installed()},
        "tests": tests,
        "rows": rows,
        "environment": provenance.environment(),
    }


def _row(
    name: str, work: GpuWork, size: dict[str, int], peaks: dict[str, dict[str, Any]], quick: bool
) -> dict[str, Any]:
    """Check one case, then time its sides in alternating order."""
    label = " ".join(f"{key}={value}" for key, value in size.items())
    row: dict[str, Any] = {"case": name, "size": size, "label": label}
    try:
        work.check()
    except AssertionError as error:
        return row | {"error": f"wrong answer: {error}"}
    times: dict[str, list[float]] = {side: [] for side in work.sides}
    for number in range(1 if quick else ROUNDS):
        for side in list(times)[:: 1 if number % 2 == 0 else -1]:
            times[side].append(_seconds(work.sides[side][0], quick))
    row["seconds"] = {side: statistics.median(values) for side, values in times.items()}
    row["ratios"] = {side: _ratio(values, times[OURS]) for side, values in times.items() if side != OURS}
    for (case, start), floor in FLOORS.items():
        for side, ratio in row["ratios"].items():
            if case == name and side.startswith(start):
                ratio["floor"] = floor
    rate = 1e-9 * work.operations / row["seconds"][OURS]
    row |= {"formula": work.formula, "rate": rate}
    if work.limit in peaks:
        row |= {"limit": work.limit, "share": rate / peaks[work.limit]["rate"]}
    return row


def _ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def _seconds(call: Callable[[], Any], quick: bool) -> float:
    """Seconds of one of several calls in a row, between two events of the default stream, after an uncounted one."""
    cuda = driver.require()
    once = _between(cuda, call, 1)
    return once if quick else _between(cuda, call, max(1, int(AT_LEAST / once)))


def _between(cuda: Any, call: Callable[[], Any], calls: int) -> float:
    began, ended = cuda.event(), cuda.event()
    clock = time.perf_counter()
    began.record()
    for _ in range(calls):
        call()
    ended.record()
    ended.synchronize()
    if simulated():  # has no clock of its own
        return (time.perf_counter() - clock) / calls
    return 1e-3 * float(cuda.event_elapsed_time(began, ended)) / calls


def _reproduce(quick: bool) -> dict[str, Any]:
    """The published experiment, once on each side, from data to log."""
    X, y = fastntk.datasets.sphere(8, 4, seed=0) if quick else fastntk.datasets.slides()
    widths, steps = ([4], 1) if quick else ([500, 1000, 2000, 4000, 8000], 100)
    seconds, last = {}, []
    for side, engine in ((OURS, "cuda"), ("CPU", "auto")):
        if not quick:
            fastntk.train(X, y, width=widths[0], steps=1, metrics="all", engine=engine)  # compiles
        began = time.perf_counter()
        sweep = fastntk.sweep(X, y, widths=widths, steps=steps, metrics="all", engine=engine)
        seconds[side] = time.perf_counter() - began
        last.append([run.loss[-1] for run in sweep.runs])
    row: dict[str, Any] = {
        "case": "reproduce",
        "size": {"n": len(X), "d": X.shape[1]},
        "label": f"widths {widths}",
    }
    if any(abs(a - b) > 1e-3 * b for a, b in zip(*last, strict=True)):
        return row | {"error": f"wrong answer: final losses {last[0]}, on the CPU {last[1]}"}
    ratio = seconds["CPU"] / seconds[OURS]
    floor = FLOORS["reproduce", "CPU"]
    return row | {
        "seconds": seconds, "ratios": {"CPU": {"median": ratio, "min": ratio, "max": ratio, "floor": floor}},
    }  # fmt: skip


if __name__ == "__main__":
    main()
