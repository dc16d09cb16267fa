"""Damaged images and Parquet files, in processes that may die of one: none does, and each case has a documented end.

`make fuzz` runs 20,000 images and 20,000 Parquet files; here a slice of the same cases. A finding is repeated by
`python -m tests.fuzz.worker images 17 1`.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scorer.intake.isolation import REASONS

CASES = int(os.environ.get("FUZZ_CASES", "600"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "15"))
"""By the clock, for each kind. Cases that it does not suffice for are left out, and it is said how many were done."""

FIRST = int(os.environ.get("FUZZ_FIRST", "0"))
PROCESSES = 2


def fuzzed(kind: str, folder: Path) -> dict[str, Any]:
    """Every case once, shared among the processes; what they found, together."""
    journals = [folder / f"{kind}-{number}" for number in range(PROCESSES)]
    share = -(-CASES // PROCESSES)
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", kind]
            + [str(value) for value in (FIRST + number, share, PROCESSES, SECONDS, journal)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, journal in enumerate(journals)
    ]
    found = []
    for worker, journal in zip(workers, journals, strict=True):
        out, err = worker.communicate()
        in_hand = journal.read_text() if journal.exists() else "none"
        assert worker.returncode == 0, f"the process died ({worker.returncode}) of case {in_hand}\n{err[-2_000:]}"
        found.append(json.loads(out))
    return {
        "done": sum(part["done"] for part in found),
        "verdicts": sum((Counter(part["verdicts"]) for part in found), Counter()),
        "findings": [finding for part in found for finding in part["findings"]],
        "slowest": max(tuple(part["slowest"]) for part in found),
    }


@pytest.mark.parametrize("kind", ["images", "parquet"])
def test_damage_ends_in_a_documented_way_and_kills_no_process(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = fuzzed(kind, tmp_path)

    with capsys.disabled():
        seconds, number = found["slowest"]
        lines = [f"{kind}: {found['done']:,} of {CASES:,} cases; slowest {seconds:.2f} s of CPU (case {number})"]
        lines += [f"  {count:7,}  {verdict}" for verdict, count in found["verdicts"].most_common()]
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert found["findings"] == []
    assert found["done"] > 0
    if kind == "images":
        assert {verdict.partition(" (")[0] for verdict in found["verdicts"]} <= REASONS | {"used"}
