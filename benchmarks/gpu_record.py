"""What the parts of a run on a GPU learn: one JSON line each, on disk before the next thing is tried.

Only the standard library, so that it works whatever is missing.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

PATH, PART = "FASTNTK_GPU_RECORD", "FASTNTK_GPU_PART"  # in the environment of a part


def add(path: Path | None = None, **values: Any) -> None:
    """Append a line; without `path` to the record of the part that this process is, if it is one."""
    if path is None:
        if PATH not in os.environ:
            return
        path = Path(os.environ[PATH])
        values = {"part": os.environ[PART], **values}
    line = json.dumps({"at": round(time.time(), 3), **values}, default=str)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[dict[str, Any]]:
    """All whole lines: the last may be cut where a machine was switched off."""
    lines = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
    return lines


def latest(lines: list[dict[str, Any]], key: str, otherwise: Any = None) -> Any:
    """The last value of that key."""
    return next((line[key] for line in reversed(lines) if key in line), otherwise)
