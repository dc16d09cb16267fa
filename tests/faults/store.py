"""A night on a bad store, beside a calm one: `make faults` prints the table.

5 % of the GETs are answered 503, 2 % break off, 1 % are reset and 1 % stall for ten seconds; then every request is
answered 503. Rows must be conserved, none degraded, and a dead store must end the run soon, with nothing published.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from scorer.errors import ScorerError
from scorer.run.score_partition import score_partition
from tests import images, tiny
from tests.s3_proxy import Fault
from tests.servers import FaultyS3Server, gateway
from tests.tiny import Market, listing

ROWS, PHOTOS = 2000, 2000
CALM: tuple[Fault, ...] = ()
BAD = (
    Fault(kind="slow_down", key=".jpg", share=0.05),
    Fault(kind="truncate", key=".jpg", share=0.02),
    Fault(kind="reset", key=".jpg", share=0.01),
    Fault(kind="stall", key=".jpg", share=0.01, seconds=10.0),
)
DEAD = (Fault(kind="slow_down"), Fault(kind="slow_down", method="PUT"), Fault(kind="slow_down", method="HEAD"))
MOST_REQUESTS = 1.25
SECONDS_TO_FAIL = 180.0


@dataclass(frozen=True)
class Night:
    """What one run did."""

    seconds: float
    gets: int
    injected: tuple[int, ...]
    scored: int
    degraded: int
    exit_code: int


def night(server: FaultyS3Server, bundle: str, faults: Sequence[Fault]) -> Night:
    """A market of its own, scored while the store has these faults."""
    market = Market(f"s3://{server.new_bucket()}", bundle)
    photos = list(images.photographs(16, width=90, height=60))
    market.write_images({f"img/{number}.jpg": photos[number % len(photos)] for number in range(PHOTOS)})
    market.write([listing(number, image_uris=[f"img/{number % PHOTOS}.jpg"]) for number in range(ROWS)])
    server.inject(*faults)  # counts start anew
    started = time.monotonic()
    try:
        counts = score_partition(market.job(rows_per_unit=500)).counts
        found = (counts.scored, counts.degraded, 0)
    except ScorerError as error:
        say(f"  {type(error).__name__}: {str(error)[:300]}")
        found = (0, 0, error.exit_code)
    seconds, gets = time.monotonic() - started, len(server.requests("GET", ".jpg"))
    injected = tuple(server.injected())
    server.heal()
    listed = market.store.list_all(market.root + "/predictions")
    assert bool(listed) == (found[2] == 0), "a run that fails publishes nothing"
    return Night(seconds, gets, injected, *found)


def say(line: str) -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")


def main() -> int:
    """Print the table; 1 if a rule is broken."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        bundle = str(Path(folder) / "bundle")
        tiny.make_bundle(bundle)
        with gateway(Path(folder)) as server:
            for name, value in server.environment().items():
                patch.setenv(name, value)
            nights = {name: night(server, bundle, faults) for name, faults in (("calm", CALM), ("bad", BAD))}
            nights["dead"] = night(server, bundle, DEAD)
    say(f"{'store':<6} {'seconds':>8} {'image GETs':>11} {'scored':>7} {'degraded':>9} {'exit':>5}  faults injected")
    for name, one in nights.items():
        figures = f"{one.seconds:>8.1f} {one.gets:>11,} {one.scored:>7,} {one.degraded:>9,} {one.exit_code:>5}"
        say(f"{name:<6} {figures}  {one.injected}")
    calm, bad, dead = nights.values()
    good = (
        all(bad.injected)
        and bad.scored == calm.scored == ROWS
        and not bad.degraded
        and bad.gets <= MOST_REQUESTS * calm.gets
    )
    return int(not (good and dead.exit_code == 75 and dead.seconds < SECONDS_TO_FAIL))


if __name__ == "__main__":
    sys.exit(main())
