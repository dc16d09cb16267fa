"""Publishers of the same partition in the same moment: `python -m tests.faults.races`. One wins, the others exit 5.

The racers are processes that run the real command line; a barrier lets them go when all stand before their publish.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from scorer.objectstore import ObjectStore, join
from scorer.output.commit import Ledger
from tests.faults.kills import SERVERS, Campaign, campaign
from tests.faults.processes import SECONDS
from tests.faults.readers import Readers
from tests.tiny import KEY


def race(made: Campaign, number: int, racers: int, folder: Path, staged: bool = True) -> Counter[int]:
    """Exit codes of the racers.

    Args:
        made: the market.
        number: says which work, other than every other race's.
        racers: processes.
        folder: empty, for the barrier.
        staged: whether all units are staged beforehand, so that only staging, audit and publish are left to do.
    """
    arguments = made.score(number)
    if staged:
        assert made.children.start(arguments, kill=("stage", 1)).wait() == -9
    folder.mkdir()
    children = [made.children.start(arguments, barrier=folder) for _ in range(racers)]
    deadline = time.monotonic() + SECONDS
    while len(list(folder.glob("ready-*"))) < racers:
        assert time.monotonic() < deadline, [child.text() for child in children]
        time.sleep(0.002)
    (folder / "go").touch()
    codes = Counter(child.wait() for child in children)
    made.figures.broken.extend(_broken(made, number, racers, codes, [child.text() for child in children]))
    return codes


def _broken(made: Campaign, number: int, racers: int, codes: Counter[int], said: list[str]) -> list[str]:
    """What went against the rules."""
    found = []
    if codes != Counter({0: 1, 5: racers - 1}):
        found.append(f"race {number} of {racers}: exit codes {dict(codes)}")
    losers = sum("was published while this run worked. This run changed nothing" in text for text in said)
    if losers != racers - 1:
        found.append(f"race {number} of {racers}: {losers} losers said so")
    ledger = Ledger(join(made.market.root, "predictions.scorer", KEY), KEY, ObjectStore())
    versions = ledger.read().record.versions
    plans = [version.plan_digest for version in versions]
    if len(set(plans)) != len(plans):
        found.append(f"race {number} of {racers}: published twice")
    found.extend(made.differences(versions[-1], f"race {number}"))
    return found


def main() -> int:
    """The races that `make kills` wants, on local files and on both S3 servers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--races", type=int, default=50, help="of two, and of six, on each store")
    parser.add_argument("--whole", type=int, default=2, help="of two whole jobs, on each store")
    wanted = parser.parse_args()
    failed = False
    for store in ("local", *SERVERS):
        with tempfile.TemporaryDirectory(prefix="races-") as name, campaign(Path(name), store, 0) as (made, readers):
            failed |= _races(store, made, readers, wanted.races, wanted.whole, Path(name))
    return int(failed)


def _races(store: str, made: Campaign, readers: Readers, races: int, whole: int, folder: Path) -> bool:
    number = 0
    for what, racers, times in (("staged units", 2, races), ("staged units", 6, races), ("whole jobs", 2, whole)):
        codes: Counter[int] = Counter()
        began = time.monotonic()
        for _ in range(times):
            number += 1
            codes += race(made, number, racers, folder / f"race-{number}", staged=what == "staged units")
        seconds = time.monotonic() - began
        sys.stdout.write(
            f"{store:<7} {times:>3} races of {racers} over {what:<13} exit codes {dict(codes)} {seconds:.0f} s\n"
        )
        sys.stdout.flush()
    wrong = [*made.figures.broken, *(text for seen in readers.seen.values() for text in seen.wrong)]
    polls = {name: seen.polls for name, seen in readers.seen.items()}
    sys.stdout.write("\n".join([f"{store:<7} readers polled {polls}, problems: {len(wrong)}", *wrong, ""]))
    sys.stdout.flush()
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
