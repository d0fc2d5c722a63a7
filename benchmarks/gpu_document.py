"""What was measured on a GPU, in README.md and docs/gpu.md: ``python -m benchmarks.gpu_document``.

From benchmarks/measured/gpu.json, which is the gpu.json that `scripts/gpu` wrote on that machine.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import document, tables
from benchmarks.case import OURS

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "benchmarks" / "measured" / "gpu.json"
START, END = "<!-- gpu:start -->", "<!-- gpu:end -->"


def short(report: Mapping[str, Any]) -> str:
    """Times and ratios, a line a case: what was not measured is named below."""
    timed = [row for row in report["rows"] if "seconds" in row]
    sides = list(dict.fromkeys(side for row in timed for side in row["ratios"] if not side.startswith(OURS)))
    lines = []
    for row in timed:
        ratios = [tables.band(row["ratios"][side]) if side in row["ratios"] else "–" for side in sides]
        lines.append([row["case"], row["label"], tables.seconds(row["seconds"][OURS]), *ratios])
    environment = report["environment"]
    versions = {
        **report["libraries"],
        "NumPy": environment["versions"]["numpy"],
        "Python": environment["python"],
    }
    note = (
        f"{report['device']['name']}, {report['device']['package']}, "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}, {environment['created'][:10]}: "
        "times faster than the same work in the other library on the same device, median (smallest–largest) over "
        "interleaved rounds. Times are between events of the device, with arrays that live there."
    )
    failed = [row["case"] for row in report["rows"] if "seconds" not in row]
    if failed:
        note += f" Not measured: {', '.join(failed)}."
    return f"{tables.table(['work', 'size', 'fastntk', *sides], lines)}\n\n{note}"


def main() -> None:
    """Put both tables where they belong."""
    report = json.loads(MEASURED.read_text(encoding="utf-8"))
    for path, text in ((ROOT / "README.md", short(report)), (ROOT / "docs" / "gpu.md", tables.gpu(report))):
        document.write_between(path, START, END, text)


if __name__ == "__main__":
    main()
