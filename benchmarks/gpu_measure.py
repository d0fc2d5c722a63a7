"""One case on a GPU: ``python -m benchmarks.gpu_measure CASE SECONDS [--quick]``, a part of `benchmarks.gpu`.

Times are those of device events around calls in a row, so our side and the others are measured on the device; "with
transfers" includes copies from and to the host. Each is recorded as it is measured.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import click

import fastntk
from benchmarks import gpu_cases, gpu_record, gpu_report, gpu_steps
from benchmarks.case import OURS
from benchmarks.gpu_cases import GpuWork
from benchmarks.gpu_clock import seconds as seconds_of

# Name, what makes the work, its sizes, and those of --quick (torch multiplies int8 from 17 rows on, by multiples of 8).
CASES: tuple[tuple[str, Callable[..., GpuWork], dict[str, int], dict[str, int]], ...] = (
    ("co-activation counts", gpu_cases.counts, {"n": 8192, "m": 131072}, {"n": 24, "m": 64}),
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
ROUNDS = 7


@click.command()
@click.argument("case")
@click.argument("seconds", type=float)
@click.option("--quick", is_flag=True, help="Tiny sizes, one round: to see that everything runs.")
def main(case: str, seconds: float, quick: bool) -> None:
    """Measure one case in about the given seconds; exit status 1 if something of ours was wrong."""
    until = time.perf_counter() + 0.7 * seconds
    row = measure(case, quick, until)
    gpu_record.add(row=row)
    for text in (row.get("error"), *(f"{side}: {why}" for side, why in row.get("failed", {}).items())):
        if text is not None:
            click.echo(f"{case}: {text}")
    sys.exit(int(gpu_report.wrong_row(row)))


def measure(case: str, quick: bool, until: float) -> dict[str, Any]:
    """Its row of the report; rounds end at the time `until`."""
    if case == "reproduce":
        return _reproduce(quick)
    make, size, small = next(rest for name, *rest in CASES if name == case)
    size = small if quick else size
    label = " ".join(f"{key}={value}" for key, value in size.items())
    row = {"case": case, "size": size, "label": label}
    gpu_record.add(row=row | {"error": "broke off while it was prepared and checked"})
    return row | _row(case, make(**size), quick, until, lambda found: gpu_record.add(row=row | found))


def _row(
    case: str, work: GpuWork, quick: bool, until: float, say: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Check the work, then time its sides in alternating order, and say what is known after each round."""
    work.check()
    row: dict[str, Any] = {"failed": work.failed} if work.failed else {}
    if OURS in work.failed:
        return row | {"error": work.failed[OURS]}
    times: dict[str, list[float]] = {side: [] for side in work.sides}
    for number in range(1 if quick else ROUNDS):
        for side in list(times)[:: 1 if number % 2 == 0 else -1]:
            times[side].append(seconds_of(work.sides[side][0], quick))
            gpu_record.add(case=case, side=side, seconds=times[side][-1])
        row |= _figures(case, work, times)
        say(row)
        if time.perf_counter() > until:
            break
    return row


def _figures(case: str, work: GpuWork, times: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, ratios and floors; what the work costs."""
    ratios = {side: _ratio(values, times[OURS]) for side, values in times.items() if side != OURS}
    for (name, start), floor in FLOORS.items():
        for side, ratio in ratios.items():
            if case == name and side.startswith(start):
                ratio["floor"] = floor
    seconds = {side: statistics.median(values) for side, values in times.items()}
    return {"seconds": seconds, "ratios": ratios, "formula": work.formula, "costs": work.costs}


def _ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def _reproduce(quick: bool) -> dict[str, Any]:
    """The published experiment, once on each side, from data to log."""
    X, y = fastntk.datasets.sphere(8, 4, seed=0) if quick else fastntk.datasets.slides()
    widths, steps = ([4], 1) if quick else ([500, 1000, 2000, 4000, 8000], 100)
    row: dict[str, Any] = {
        "case": "reproduce",
        "size": {"n": len(X), "d": X.shape[1]},
        "label": f"widths {widths}",
    }
    seconds, last = {}, []
    for side, engine in ((OURS, "cuda"), ("CPU", "auto")):
        if not quick:
            fastntk.train(X, y, width=widths[0], steps=1, metrics="all", engine=engine)  # compiles
        began = time.perf_counter()
        sweep = fastntk.sweep(X, y, widths=widths, steps=steps, metrics="all", engine=engine)
        seconds[side] = time.perf_counter() - began
        last.append([run.loss[-1] for run in sweep.runs])
        gpu_record.add(row=row | {"seconds": seconds, "ratios": {}})
    if any(abs(a - b) > 1e-3 * b for a, b in zip(*last, strict=True)):
        return row | {"error": f"{gpu_report.WRONG}: final losses {last[0]}, on the CPU {last[1]}"}
    ratio = seconds["CPU"] / seconds[OURS]
    floor = FLOORS["reproduce", "CPU"]
    return row | {
        "seconds": seconds, "ratios": {"CPU": {"median": ratio, "min": ratio, "max": ratio, "floor": floor}},
    }  # fmt: skip


if __name__ == "__main__":
    main()
