"""One commit's side of `benchmarks.compare`: reads questions and writes answers, one line of JSON each.

Run by path where Python looks into the folder of the commit, whose package and cases it imports; it uses of them only
what has been there since 0.1.
"""

import dataclasses
import json
import sys
import time

from benchmarks.cases import CASES

OURS, AT_LEAST, PAUSE = "fastntk", 0.1, 0.05


class Worker:
    """The case that was prepared last."""

    def __init__(self):
        self._side = None
        self._calls = 1

    def cases(self, only, quick):
        """Names and sizes."""
        return [
            (case.name, dataclasses.astuple(size))
            for case in CASES
            if only in case.name
            for size in ((case.small,) if quick else case.sizes)
        ]

    def prepare(self, name, size):
        """Make the inputs, check the answer, and find how many calls a round needs."""
        self._side = None
        case = next(case for case in CASES if case.name == name)
        work = case.prepare(type(case.small)(*size))
        work.check()
        self._side, self._calls = work.sides[OURS], 1
        self._calls = max(1, round(AT_LEAST / self.measure()))
        return self._calls

    def measure(self):
        """Seconds per call, after a pause and one call that is not counted."""
        time.sleep(PAUSE)
        with self._side.within():
            self._side.call()
            began = time.perf_counter()
            for _ in range(self._calls):
                self._side.call()
            return (time.perf_counter() - began) / self._calls


def main():
    """Answer until there are no more questions; what is printed beside the answers goes to standard error."""
    worker, answers = Worker(), sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(getattr(worker, what)(*arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
