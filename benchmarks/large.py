"""Very wide networks, each in a process of its own that reports its peak resident memory.

``python -m benchmarks.large WIDTH STEPS`` trains once on n = d = 1000 and prints the figures as JSON.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = 1000
ROWS = ((100_000, 100, 4.0), (1_000_000, 20, 24.0))  # width, steps, GiB it has to fit in


def measure(width: int, steps: int, floor: float) -> dict[str, Any]:
    """Seconds and peak memory of one run in a fresh process; a run that fails leaves its last line of output."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.large", str(width), str(steps)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    result: dict[str, Any] = {"width": width, "steps": steps, "samples": SAMPLES, "most_gib": floor}
    if done.returncode:
        return {**result, "error": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    return {**result, **json.loads(done.stdout.splitlines()[-1])}


def peak_bytes() -> int:
    """Peak resident memory of this process, as the system keeps it."""
    try:
        import resource
    except ImportError:  # Windows
        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


def main(width: int, steps: int) -> None:
    """Train with loss, flips and drift."""
    import fastntk

    X, y = fastntk.datasets.sphere(SAMPLES, SAMPLES, seed=0)
    began = time.perf_counter()
    run = fastntk.train(X, y, width=width, steps=steps, lr=0.1, metrics=("loss", "flips", "drift"))
    assert run.loss is not None
    figures = {
        "seconds": time.perf_counter() - began,
        "peak_gib": peak_bytes() / 2**30,
        "engine": run.provenance["engine"]["name"],
        "losses": [float(run.loss[0]), float(run.loss[-1])],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
