"""The benchmark report: ``fastntk bench`` or ``python -m benchmarks.report``.

Measures every comparison, the machine's limits, the growth of cost, the whole experiment and the first calls, and
writes report.json and report.md.  What `scripts/gpu` measured on a GPU (gpu.json in the same folder) is included.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

if not __package__:  # run by path: the folder above holds the package
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import click
import numba
import threadpoolctl

from benchmarks import document, first_call, history, job, large, limits, processor, tables, with_torch
from benchmarks.case import OURS
from benchmarks.cases import CASES
from benchmarks.growth import growth
from benchmarks.rows import Row, row
from benchmarks.timing import Effort
from fastntk.results import provenance

PARTS = ("comparisons", "growth", "job", "compile")
QUICK = Effort(at_least=0.02, budget=0.5, rounds=(2, 3))
DEFAULT = Effort(budget=2.5, rounds=(3, 9))
GROWTH = Effort(at_least=0.02, budget=0.6, rounds=(1, 5))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Small sizes, a minute or two.")
@click.option(
    "--large", "wide", is_flag=True, help="Also widths of 100000 and 1000000, and NumPy's job in full."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results", "benchmarks"),
    show_default=True,
    metavar="DIR",
    help="Folder for report.json and report.md.",
)
@click.option(
    "--readme",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, writable=True),
    metavar="FILE",
    help="Also put the short table between the markers of this file.",
)
@click.option(
    "--keep", is_flag=True, help="Also keep the figures in benchmarks/history, for this release and machine."
)
@click.option("--only", metavar="TEXT", default="", help="Only comparisons whose name contains this.")
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    help="Only this part; may be given several times.  [default: all]",
)
@click.option("--threads", type=click.IntRange(min=1, max=int(numba.config.NUMBA_NUM_THREADS)))
@click.option("--no-torch", is_flag=True, help="Leave torch out even if it is installed.")
def main(
    quick: bool,
    wide: bool,
    out: Path,
    readme: Path | None,
    only: str,
    parts: tuple[str, ...],
    threads: int | None,
    no_torch: bool,
    keep: bool,
) -> None:
    """Measure fastntk against plain NumPy, BLAS and torch on this machine.

    Exit status: 1 when an answer was wrong, 2 on bad arguments.
    """
    forced = processor.forced()
    if forced:
        click.echo(processor.warning(forced))
        if readme is not None:
            raise click.UsageError(f"--readme is refused while {', '.join(forced)} is set: unset it")
        if keep:
            raise click.UsageError(f"--keep is refused while {', '.join(forced)} is set: unset it")
    if no_torch:
        with_torch.leave_out()
    used = threads or int(numba.get_num_threads())
    numba.set_num_threads(used)
    out.mkdir(parents=True, exist_ok=True)
    with threadpoolctl.threadpool_limits(used, user_api="blas"):
        with_torch.set_threads(used)
        report = measure(quick, wide, only, parts or PARTS, used)
    report["gpu"] = gpu_report(out)
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / "report.md").write_text(document.full(report), encoding="utf-8")
    click.echo(f"written to {out}: report.json, report.md")
    if readme is not None:
        try:
            document.write_readme(readme, report)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        click.echo(f"updated {readme}")
    wrong = wrong_answers(report)
    if keep and not wrong:
        click.echo(f"kept in {history.keep(report)}")
    if wrong:
        click.echo(f"wrong answers: {', '.join(wrong)}", err=True)
        sys.exit(1)


def measure(quick: bool, wide: bool, only: str, parts: tuple[str, ...], threads: int) -> dict[str, Any]:
    """All figures of the report, JSON-able."""
    began = time.perf_counter()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    click.echo("limits of the machine")
    peaks = limits.measure(quick)
    cases = [case for case in CASES if only in case.name]
    report: dict[str, Any] = {
        "mode": "quick" if quick else "large" if wide else "default",
        "threads": threads,
    }
    report |= {"load": load, "torch": with_torch.version()}
    report["limits"] = {name: dataclasses.asdict(limit) for name, limit in peaks.items()}
    report["rows"], report["growth"] = [], []
    if "comparisons" in parts:
        for case in cases:
            for size in (case.small,) if quick else case.sizes:
                report["rows"].append(row(case, size, peaks, QUICK if quick else DEFAULT))
                say(report["rows"][-1])
    if "growth" in parts:
        for case in cases:
            for variable in ("n", "m"):
                part = growth(case, variable, peaks, QUICK if quick else GROWTH, quick, say)
                if part is not None:
                    report["growth"].append(part)
    report["job"] = job.measure(quick, wide, say_job) if "job" in parts else None
    report["first_calls"] = first_call.measure(quick, say_first) if "compile" in parts else []
    report["import"] = first_call.import_time() if "compile" in parts else None
    report["large"] = [large.measure(*figures) for figures in large.ROWS] if wide else []
    report["environment"] = provenance.environment()
    report["processor"] = processor.facts()
    report["took"] = time.perf_counter() - began
    return report


def gpu_report(out: Path) -> dict[str, Any] | None:
    """What `scripts/gpu` left in the same folder, on this machine or copied from one with a GPU."""
    path = out / "gpu.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def say(line: Row) -> None:
    """One comparison as it is done."""
    text = f"{line['case']:<24} {line['label']:<28} "
    if "error" in line:
        click.echo(text + str(line["error"]))
        return
    ratios = "  ".join(f"{name} {tables.band(ratio)}" for name, ratio in line["ratios"].items())
    click.echo(f"{text}{tables.seconds(line['seconds'][OURS]['median']):>8}  {ratios}")


def say_job(line: dict[str, Any]) -> None:
    click.echo(
        f"whole experiment, width {line['width']:<6} {tables.seconds(line[OURS])}  {line['ratio']:.1f}x"
    )


def say_first(line: dict[str, Any]) -> None:
    click.echo(
        f"first call of {line['family']}: {line['empty']:.1f} s, with a filled cache {line['filled']:.1f} s"
    )


def wrong_answers(report: dict[str, Any]) -> list[str]:
    """Names of the rows whose check failed."""
    rows = [*report["rows"], *(line for part in report["growth"] for line in part["rows"])]
    wrong = [f"{line['case']} {line['label']}" for line in rows if "wrong answer" in line.get("error", "")]
    if report["job"] and "error" in report["job"]:
        wrong.append("whole experiment")
    return wrong


if __name__ == "__main__":
    main()
