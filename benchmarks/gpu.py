"""The first minutes on a GPU: ``scripts/gpu`` or ``python -m benchmarks.gpu``; tests and benchmarks, as far as time is.

In the folder ``--out``, on disk as it is learned: gpu.jsonl (every result, one line each), gpu-logs (what each part
prints); after each part gpu.json (which the report of `fastntk bench` includes); at the end gpu.txt (one screen).
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

from benchmarks import gpu_record, gpu_report
from benchmarks.gpu_parts import GpuPart, Stage, stages

ROOT = Path(__file__).resolve().parent.parent
LOGS = "gpu-logs"
_LEAST = 8.0  # seconds: with fewer left no part is begun
_GLANCE = 0.05  # seconds between looks at what runs
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
        (chosen.out / LOGS).mkdir(parents=True, exist_ok=True)
        (chosen.out / "gpu.jsonl").write_bytes(b"")
    except OSError as error:
        return _refuse(f"--out {chosen.out} cannot be written: {error.strerror}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = []
    for stage in stages(chosen.minutes, chosen.quick, not chosen.no_tests):
        parts = tuple(part for part in stage.parts if part.name == "found" or chosen.only in part.name)
        found += [Stage(stage.seconds, parts)] if parts else []
    return _run(found, chosen.out.resolve(), 60 * chosen.minutes, chosen.quick)


def _refuse(text: str) -> int:
    print(f"gpu: {text}", file=sys.stderr)
    return 2


def _run(found: list[Stage], out: Path, seconds: float, quick: bool) -> int:
    """Every stage, as long as there is time; what is known is written also when that is interrupted."""
    began, interrupted, record = time.monotonic(), False, out / "gpu.jsonl"
    try:
        _say_versions(record)
        for stage in found:
            _stage(stage, out, began, seconds, quick)
            if stage.parts[0].name == "found":
                _say_found(gpu_record.read(record))
    except KeyboardInterrupt:
        interrupted = True
        gpu_record.add(record, interrupted=True)
    report = gpu_report.write(out, quick)
    text = gpu_report.summary(report)
    (out / "gpu.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\nwritten to {out}: gpu.json, gpu.jsonl, gpu.txt, {LOGS}")
    return 130 if interrupted else int(gpu_report.wrong(report))


def _stage(stage: Stage, out: Path, began: float, seconds: float, quick: bool) -> None:
    """Its parts side by side, as many as there are cores; those that do not fit its time are named."""
    waiting, running, cores = list(stage.parts), [], os.cpu_count() or 1
    whole = began + seconds
    until = min(time.monotonic() + stage.seconds, whole)
    latest = min(until, whole - _LEAST)  # that a part is begun
    cut_off = (
        "cut off at the end of the minutes" if until == whole else f"cut off after {stage.seconds:.0f} s"
    )
    try:
        while running or (waiting and time.monotonic() < latest):
            if waiting and len(running) < cores and time.monotonic() < latest:
                running.append(_Running(waiting.pop(0), out))
                continue
            for each in running[:]:
                how = each.ended() or (cut_off if time.monotonic() >= until else "")
                if how:
                    running.remove(each)
                    each.end(how)
                    gpu_report.write(out, quick)
                    print(f"{time.monotonic() - began:5.0f} s  {each.part.name}: {how}", flush=True)
            time.sleep(_GLANCE)
    finally:
        for each in running:
            each.kill()
    for part in waiting:
        gpu_record.add(out / "gpu.jsonl", left_out=part.name)


class _Running:
    """A part at work, begun again as often as it gets on where it resumes."""

    def __init__(self, part: GpuPart, out: Path) -> None:
        self.part, self._record, self._began = part, out / "gpu.jsonl", time.monotonic()
        self._log = out / LOGS / f"{part.name.replace(': ', ' ').replace(', ', ' ').replace(' ', '-')}.log"
        self._log.write_bytes(b"")
        self._start()

    def _start(self) -> None:
        self._lines = len(gpu_record.read(self._record))
        environment = {**os.environ, gpu_record.PATH: str(self._record), gpu_record.PART: self.part.name}
        environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg", **_toolkit()}
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self.part.command(), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def ended(self) -> str:
        """How it ended, empty while it runs; where it resumes and did not get to its end it is begun again."""
        status = self._child.poll()
        if status is None:
            return ""
        if self.part.resumes and self._broke_off():
            self.kill()
            self._start()
            return ""
        return {0: "done", 1: "failed", 5: "done"}.get(status, f"failed with status {status}")

    def _broke_off(self) -> bool:
        new = gpu_record.read(self._record)[self._lines :]
        own = [line for line in new if line.get("part") == self.part.name]
        return any("began" in line for line in own) and not any("tests_ended" in line for line in own)

    def end(self, how: str) -> None:
        """Kill what is left of it, and record how it ended."""
        self.kill()
        seconds = round(time.monotonic() - self._began, 1)
        gpu_record.add(self._record, ended=self.part.name, how=how, seconds=seconds)

    def kill(self) -> None:
        """With all that it began."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # the driver may hold on to it
            self._child.wait(5.0)


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
