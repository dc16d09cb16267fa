"""Attempt after attempt: a unit whose images the store did not deliver waits behind the others and is tried again."""

import random
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing

from scorer.intake.partitions import Unit
from scorer.output.attempts import LAST
from scorer.run.engines import Run
from scorer.run.stage_units import UnitDone
from scorer.telemetry import Reporter

PAUSE_S = 2.0
"""Before the second attempt, at most; doubled before the third."""


def finish_all(
    todo: Sequence[Unit], tried: Counter[str], run: Run, reporter: Reporter
) -> Generator[UnitDone, None, None]:
    """Every unit once it is staged, in some order.

    Before its last attempt a unit with images that the store may still deliver is given up and tried again; on the
    last one such an image degrades its row as image_unreachable.

    Args:
        todo: the units.
        tried: unit -> attempts of earlier starts.
        run: of an engine; raises what this raises, also where it is closed early.
        reporter: is told of further attempts.
    """
    pause = PAUSE_S
    while todo:
        last = frozenset(unit.id for unit in todo if tried[unit.id] >= LAST - 1)
        again: list[Unit] = []
        with closing(run(todo, last)) as dones:  # left to its finalizer, it would raise into the void
            for done in dones:
                if done.staged:
                    yield done
                    continue
                tried[done.unit.id] += 1
                again.append(done.unit)
        if again:
            text = f"{len(again)} work unit(s) with images that the store did not deliver: trying again."
            reporter.event("trying again", text, units=len(again))
            time.sleep(random.uniform(0, pause))
            pause *= 2
        todo = again
