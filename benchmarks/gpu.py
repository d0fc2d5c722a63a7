"""The first minutes on a GPU: ``scripts/gpu`` or ``python -m benchmarks.gpu``; tests and benchmarks, as far as time is.

In the folder ``--out``, on disk as it is learned: gpu.jsonl (every result, one line each), gpu.log (what the parts
print); after each part gpu.json (which the report of `fastntk bench` includes); at the end gpu.txt (one screen).
Only the standard library is needed here; each part is a process that may fail or hang, and the next one runs.
"""

import argparse
import contextlib
import importlib.metadata
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchmarks import gpu_record, gpu_report
from benchmarks.gpu_parts import Part, parts

ROOT = Path(__file__).resolve().parent.parent
_LEAST = 8.0  # seconds: with fewer left no part is begun
# Distributions of the package, of its tests, and of what is used where it is there.
_NEEDED = ("numpy", "scipy", "numba", "llvmlite", "click", "tqdm", "threadpoolctl", "psutil", "matplotlib")
_TESTING = ("pytest", "hypothesis")
_OPTIONAL = (
    "numba-cuda", "numba-cuda-mlir", "cuda-bindings", "cuda-core", "cuda-pathfinder", "nvidia-cublas", "torch",
    "cupy", "cupy-cuda13x", "cupy-cuda12x", "tbb", "h5py", "pytest-benchmark",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, 1 if something failed, 2 for bad arguments, 130 if interrupted."""
    parser = argparse.ArgumentParser(
        prog="gpu", description="Tests and benchmarks on a GPU, in so many minutes."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results", "benchmarks"), help="[default: %(default)s]"
    )
    parser.add_argument("--minutes", type=float, default=15.0, help="at most [default: %(default)s]")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, one round: to see that everything runs"
    )
    parser.add_argument("--no-tests", action="store_true", help="benchmarks only")
    parser.add_argument("--only", default="", metavar="TEXT", help="parts whose name contains this")
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.minutes < float("inf"):
        return _refuse(f"--minutes must be at least 1, got {chosen.minutes:g}")
    try:
        chosen.out.mkdir(parents=True, exist_ok=True)
        for name in ("gpu.jsonl", "gpu.log"):
            (chosen.out / name).write_bytes(b"")
    except OSError as error:
        return _refuse(f"--out {chosen.out} cannot be written: {error.strerror}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    every = parts(chosen.minutes, chosen.quick, not chosen.no_tests)
    found = [part for part in every if part.name == "found" or chosen.only in part.name]
    return _run(found, chosen.out.resolve(), 60 * chosen.minutes, chosen.quick)


def _refuse(text: str) -> int:
    print(f"gpu: {text}", file=sys.stderr)
    return 2


def _run(found: list[Part], out: Path, seconds: float, quick: bool) -> int:
    """Every part, as long as there is time; what is known is written also when that is interrupted."""
    until, interrupted, record = time.monotonic() + seconds, False, out / "gpu.jsonl"
    try:
        _say_versions(record)
        for part in found:
            if until - time.monotonic() < _LEAST:
                gpu_record.add(record, left_out=part.name)
                continue
            how = _part(part, out, until)
            gpu_report.write(out, quick)
            print(f"{seconds - (until - time.monotonic()):5.0f} s  {part.name}: {how}", flush=True)
            if part.name == "found":
                _say_found(gpu_record.read(record))
    except KeyboardInterrupt:
        interrupted = True
        gpu_record.add(record, interrupted=True)
    report = gpu_report.write(out, quick)
    text = gpu_report.summary(report)
    (out / "gpu.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\nwritten to {out}: gpu.json, gpu.jsonl, gpu.log, gpu.txt")
    return 130 if interrupted else int(gpu_report.wrong(report))


def _part(part: Part, out: Path, until: float) -> str:
    """Run it, where it resumes as often as it gets on; how it ended."""
    began, record = time.monotonic(), out / "gpu.jsonl"
    ends = min(began + part.seconds, until)
    environment = {**os.environ, gpu_record.PATH: str(record), gpu_record.PART: part.name}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg", **_toolkit()}
    while True:
        lines = len(gpu_record.read(record))
        with (out / "gpu.log").open("ab") as log:
            log.write(f"\n=== {part.name}\n".encode())
            log.flush()
            status = _child(part.command(), environment, log, ends - time.monotonic())
        new = gpu_record.read(record)[lines:]
        broke_off = not any("tests_ended" in line for line in new) and any("began" in line for line in new)
        if not part.resumes or status is None or not broke_off:
            break
    how = {None: f"cut off after {part.seconds:.0f} s", 0: "done", 1: "failed", 5: "done"}.get(status)
    if status is None and ends < began + part.seconds:
        how = "cut off at the end of the minutes"
    how = how or f"failed with status {status}"
    gpu_record.add(record, ended=part.name, how=how, seconds=round(time.monotonic() - began, 1))
    return how


def _child(command: list[str], environment: dict[str, str], log: IO[bytes], seconds: float) -> int | None:
    """Exit status, or None where it had to be killed, with all that it began."""
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )  # fmt: skip
    try:
        return child.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # the driver may hold on to it
            child.wait(5.0)


def _toolkit() -> dict[str, str]:
    """CUDA_HOME where nothing says where the toolkit is but its compiler is on the path."""
    compiler = shutil.which("nvcc")
    if compiler is None or os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH"):
        return {}
    return {"CUDA_HOME": str(Path(compiler).resolve().parent.parent)}


def _say_versions(record: Path) -> None:
    """What is installed, before anything of it is imported."""
    print(f"Python {platform.python_version()}, {platform.platform()}, {sys.executable}")
    versions = dict(_versions((*_NEEDED, *_TESTING, *_OPTIONAL)))
    missing = [name for name in (*_NEEDED, *_TESTING) if name not in versions]
    gpu_record.add(record, python=sys.version, versions=versions, not_installed=missing)
    print(f"found: {', '.join(f'{name} {version}' for name, version in versions.items())}")
    print(f"missing: {', '.join(missing) or 'nothing that is needed'}", flush=True)


def _versions(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)


def _say_found(lines: list[dict[str, object]]) -> None:
    device = gpu_record.latest(lines, "device")
    beside = " ".join(gpu_record.latest(lines, "libraries", {})) or "no other library"
    cublas = gpu_record.latest(lines, "cublas", "unknown")
    print(
        f"device: {device['name'] if device else 'none'}; beside it: {beside}; cuBLAS: {cublas}", flush=True
    )
    for line in lines:
        if "missing" in line:
            print(f"missing: {line['missing']}: {line['text']}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
