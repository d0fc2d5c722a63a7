"""The report of a run on a GPU from its record, whole or not: gpu.json, and one screen of text."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import gpu_record

_OURS = "fastntk"
WRONG = "wrong answer"
_HANGING = 15.0  # seconds that the test ran at which a part was cut off: with fewer it was merely its turn
_NAMED = 8  # failed tests on the screen


def assemble(lines: list[dict[str, Any]], quick: bool) -> dict[str, Any]:
    """What `fastntk bench` includes."""
    unknown = {"name": "unknown", "capability": "unknown", "package": None}
    limits = {**gpu_record.latest(lines, "clocks", {}), **gpu_record.latest(lines, "measured", {})}
    rows = {line["row"]["case"]: _shares(line["row"], limits) for line in lines if "row" in line}
    return {
        "device": gpu_record.latest(lines, "device", unknown),
        "limits": limits,
        "mode": "quick" if quick else "default",
        "libraries": gpu_record.latest(lines, "libraries", {}),
        "tests": tests(lines),
        "rows": list(rows.values()),
        "environment": gpu_record.latest(lines, "environment", {"created": "unknown"}),
        "smoke": [line for line in lines if "smoke" in line],
        "missing": [line for line in lines if "missing" in line],
        "parts": [line for line in lines if "ended" in line],
        "left_out": [line["left_out"] for line in lines if "left_out" in line],
    }


def _shares(row: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    """With the share of each limit that each side reaches."""
    if "seconds" not in row:
        return row
    shares = {
        side: {
            limit: 1e-9 * cost / seconds / limits[limit]["rate"]
            for limit, cost in row.get("costs", {}).items()
            if limit in limits
        }
        for side, seconds in row["seconds"].items()
    }
    return row | {"shares": shares}


def tests(lines: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How many passed, failed, broke off (hung, or ended the process) and were not run; those that did not pass."""
    parts = {line["part"]: line["tests"] for line in lines if "tests" in line}
    if not parts:
        return None
    begun = [line for line in lines if "began" in line]
    outcomes = {line["began"]: "broke off" for line in begun}
    for end in (line for line in lines if line.get("how", "").startswith("cut off")):
        running = [line for line in begun if line["part"] == end["ended"]][-1:]
        if running and end["at"] - running[0]["at"] < _HANGING:
            del outcomes[running[0]["began"]]
    for line in lines:  # failing once is failing, also where what comes after a test fails
        if line.get("test") in outcomes and outcomes.get(line["test"]) != "failed":
            outcomes[line["test"]] = line["outcome"]
    counted = Counter(outcomes.values())
    counted["not run"] = sum(parts.values()) - len(outcomes)
    names = ("passed", "skipped", "failed", "broke off", "not run")
    failed = [test for test, outcome in outcomes.items() if outcome in ("failed", "broke off")]
    return {
        "status": int(bool(failed or not counted["passed"])),
        "line": ", ".join(f"{counted[name]} {name}" for name in names if counted[name]),
        "failed": failed,
    }


def write(out: Path, quick: bool) -> dict[str, Any]:
    """gpu.json as far as it is known, whole at any moment."""
    report = assemble(gpu_record.read(out / "gpu.jsonl"), quick)
    written = out / "gpu.json.new"
    written.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    os.replace(written, out / "gpu.json")
    return report


def wrong(report: dict[str, Any]) -> bool:
    """Whether anything failed or hung; what did not fit the minutes has not."""
    short = ("done", "cut off at the end of the minutes")
    ended = any(part["how"] not in short and not _unfinished(part) for part in report["parts"])
    tested = report["tests"] is not None and report["tests"]["failed"]
    return bool(ended or tested or any(map(wrong_row, report["rows"])))


def wrong_row(row: dict[str, Any]) -> bool:
    """Whether our side failed, or a side gives other numbers; that another library cannot do it is its own affair."""
    failed = row.get("failed", {}).items()
    return "error" in row or any(side.startswith(_OURS) or text.startswith(WRONG) for side, text in failed)


def _unfinished(part: dict[str, Any]) -> bool:
    """Tests, which are more than fits."""
    return part["ended"].startswith("tests: ") and part["how"].startswith("cut off")


def summary(report: dict[str, Any]) -> str:
    """One screen."""
    device, tested = report["device"], report["tests"]
    lines = [f"{device['name']}, compute capability {device['capability']}, {device['package']}"]
    smoke = ", ".join(f"{line['smoke']} {'right' if line['right'] else 'WRONG'}" for line in report["smoke"])
    lines += [f"smoke: {smoke or 'not run'}", f"tests: {tested['line'] if tested else 'not run'}"]
    for test in tested["failed"][:_NAMED] if tested else ():
        lines.append(f"  {test}")
    lines += [
        f"limit of {name}: {limit['rate']:.4g} {limit['unit']}" for name, limit in report["limits"].items()
    ]
    lines += [line for row in report["rows"] for line in _row(row)]
    broken = [f"{part['ended']} ({part['how']})" for part in report["parts"] if part["how"] != "done"]
    if broken:
        lines.append(f"not done: {', '.join(broken)}")
    if report["left_out"]:
        lines.append(f"did not fit the minutes: {', '.join(report['left_out'])}")
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> list[str]:
    """Our time, its shares, and how many times faster we are than each other side."""
    if "seconds" not in row:
        return [f"{row['case']}: {row['error']}"[:160]]
    shares = "".join(f", {100 * share:.3g} % {limit}" for limit, share in row["shares"][_OURS].items())
    ratios = [f"{side} {ratio['median']:.2f}x" for side, ratio in row["ratios"].items()]
    ratios += [f"{side} failed ({text[:60]})" for side, text in row.get("failed", {}).items()]
    beside = f"; faster than {', '.join(ratios)}" if ratios else ""
    return [f"{row['case']}: {1e3 * row['seconds'][_OURS]:.4g} ms{shares}{beside}"]
