"""Runs cases in a process that may die of one: `python -m tests.fuzz.worker images 17 1` repeats case 17.

Prints what became of them as JSON. The number of the case in hand stands in a file, for whoever finds the process dead.
"""

import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.fuzz.targets import TARGETS

SECONDS_A_CASE = 12
"""Of processor time in this process; then it is killed. Half a second is what in-process decoding may take."""

MEMORY = 8 * 1024**3


def main(kind: str, first: int, count: int, step: int, seconds: float, journal: Path) -> dict[str, object]:
    """Verdicts of every step-th case from the first, until all are done or the time is up."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    verdicts: Counter[str] = Counter()
    findings: list[str] = []
    slowest, until, done = (0.0, -1), time.monotonic() + seconds, 0
    with ExitStack() as stack, journal.open("wb", buffering=0) as note:
        target = TARGETS[kind](stack)
        for number in range(first, first + count * step, step):
            if time.monotonic() > until:
                break
            name, data = target.case(number)
            os.pwrite(note.fileno(), f"{number:>12} {name:60}".encode(), 0)
            signal.setitimer(signal.ITIMER_PROF, SECONDS_A_CASE)
            start = time.process_time()
            try:
                verdicts[target.run(number, data)] += 1
            except Exception as error:
                findings.append(f"case {number} ({name}): {type(error).__name__}: {error}"[:500])
            slowest = max(slowest, (time.process_time() - start, number))
            done += 1
    return {"done": done, "verdicts": verdicts, "findings": findings, "slowest": slowest}


if __name__ == "__main__":
    kind, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    step, seconds = int(sys.argv[4]) if sys.argv[4:] else 1, float(sys.argv[5]) if sys.argv[5:] else 1e9
    journal = Path(sys.argv[6] if sys.argv[6:] else os.devnull)
    sys.stdout.write(json.dumps(main(kind, first, count, step, seconds, journal)) + "\n")
