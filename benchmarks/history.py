"""What releases reached: one JSON file a release and machine in ``benchmarks/history``."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "history"
_KEPT = ("mode", "threads", "load", "processor", "environment", "limits", "rows", "job", "took")


def name(report: Mapping[str, Any]) -> str:
    """File name from release, processor (with family and model) and threads."""
    known, environment = report["processor"], report["environment"]
    machine = [environment["cpu"], *(known[key] for key in ("family", "model") if key in known)]
    words = [environment["fastntk"], *machine, f"{report['threads']} threads"]
    return re.sub(r"[^a-z0-9.]+", "-", " ".join(words).lower()).strip("-") + ".json"


def keep(report: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Write the figures of a report; those of the same release and machine before are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name(report)
    kept = {key: report[key] for key in _KEPT}
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path
