"""Two commits against each other in one run: ``python -m benchmarks.compare OLD [NEW]``.

Each commit is checked out beside the repository and works in a process of its own, on its own cases (of one name and
size); the processes take turns.  A case has regressed if the new commit is slower than allowed in all rounds but one:
without a change each round is a toss of a coin, so nine rounds say so by accident once in fifty cases even if nothing
were allowed.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
WORKER = Path(__file__).resolve().with_name("compare_worker.py")


class Commit:
    """The process of a commit, which measures what it is told."""

    def __init__(self, folder: Path) -> None:
        paths = {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / ".numba_cache")}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **paths}, cwd=folder,
        )  # fmt: skip

    def ask(self, *question: Any) -> Any:
        """The answer to a question; RuntimeError if the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a process ended with status {self._process.wait()} when asked {question}")
        return json.loads(answer)

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The files of a commit in a folder of their own."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "commit"
        _git("worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str) -> None:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise click.UsageError(done.stderr.strip())


def regressed(ratios: Sequence[float], allowed: float) -> bool:
    """Whether the new commit takes longer than allowed, in all rounds but one; ratios are new by old."""
    return sorted(ratios)[min(1, len(ratios) - 1)] > 1.0 + allowed


def rounds(old: Commit, new: Commit, case: str, size: Any, count: int) -> list[float]:
    """Seconds of the new commit by those of the old one, in so many rounds."""
    sides = [old, new]
    for side in sides:
        side.ask("prepare", case, size)
    ratios = []
    for number in range(count):
        order = sides if number % 2 == 0 else sides[::-1]
        seconds = {id(side): side.ask("measure") for side in order}
        ratios.append(seconds[id(new)] / seconds[id(old)])
    return ratios


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("old")
@click.argument("new", default="HEAD")
@click.option("--only", metavar="TEXT", default="", help="Only cases whose name contains this.")
@click.option("--quick", is_flag=True, help="Small sizes.")
@click.option("--rounds", "count", type=click.IntRange(min=3), default=9, show_default=True)
@click.option(
    "--allowed", type=click.FloatRange(min=0.0), default=0.03, show_default=True, help="Slower by so much."
)
def main(old: str, new: str, only: str, quick: bool, count: int, allowed: float) -> None:
    """Measure commit NEW (by default the last one) against commit OLD, in turns.

    Exit status: 1 where a case of NEW is slower beyond noise, 2 on bad arguments.
    """
    slower = []
    with checked_out(old) as before, checked_out(new) as after:
        sides = Commit(before), Commit(after)
        try:
            known = [{(case, tuple(size)) for case, size in side.ask("cases", only, quick)} for side in sides]
            both = sorted(known[0] & known[1])
            if not both:
                raise click.UsageError(f"--only must name a case of both commits, got {only!r}")
            for case, size in both:
                ratios = rounds(*sides, case, size, count)
                worse = regressed(ratios, allowed)
                label = f"{case} {' '.join(map(str, size))}"
                middle = sorted(ratios)[count // 2]
                click.echo(
                    f"{label:<52} {middle:.3f} ({min(ratios):.3f}-{max(ratios):.3f})" + " SLOWER" * worse
                )
                if worse:
                    slower.append(label)
        finally:
            for side in sides:
                side.end()
    if slower:
        click.echo(f"slower than {old}: {', '.join(slower)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
